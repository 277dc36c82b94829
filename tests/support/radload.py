"""
The load generator radload, built from its source, with a source address of choice.

A switch is known by its address; to be several switches on one machine, radload's sockets are bound to an address
of loopback before they connect.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[1] / "data" / "load" / "radload.c"

_BIND_FIRST = """
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
static int connect_from(int fd, const struct sockaddr *to, socklen_t length)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	const char *text = getenv("SOURCE_ADDRESS");
	if (text && inet_aton(text, &from.sin_addr) && bind(fd, (struct sockaddr *)&from, sizeof from) < 0) return -1;
	return connect(fd, to, length);
}
#define connect connect_from
"""


def build(directory: Path) -> Path:
    """Compile it into a directory."""
    compiler = shutil.which("gcc")
    assert compiler is not None
    (directory / "bind_first.h").write_text(_BIND_FIRST)
    program = directory / "radload"
    first = ["-include", str(directory / "bind_first.h")]
    subprocess.run([compiler, "-O2", *first, "-o", str(program), str(SOURCE), "-lm"], check=True)
    return program


def start(program: Path, ports: dict[str, int], source: str, *options: str) -> subprocess.Popen[str]:
    """Start it as the switch of this address, with users u1, u2, ... whose password is their name."""
    target = ["--auth-port", str(ports["auth"]), "--acct-port", str(ports["acct"])]
    users = ["--user-fmt", "u%u", "--pass-fmt", "u%u", "--first-user", "1"]
    return subprocess.Popen(
        [str(program), *target, *users, "--json", "--quiet", *options],
        env={"SOURCE_ADDRESS": source},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(run: subprocess.Popen[str], timeout_s: float = 180) -> dict[str, Any]:
    """Wait for it; it must have found every answer right."""
    output, errors = run.communicate(timeout=timeout_s)
    assert 0 == run.returncode, output + errors
    found: dict[str, Any] = json.loads(output)
    return found
