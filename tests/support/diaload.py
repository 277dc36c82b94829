"""
The Diameter load generator `diaload`, the server it calls, and its books compared with the ledger.
"""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.postgres import free_port
from tests.support.process import Aaad

SOURCE = Path(__file__).parents[1] / "data" / "load" / "diaload.c"
BASE = 15_550_000_000
OPENING_MICRO = 1_000_000_000_000
VOICE = {"tel:+44207946": 10_000, "tel:+33142278": 20_000, "tel:+1212555": 1_000}  # micro per second
SMS = 50_000  # micro per message; an octet costs one


def built(directory: Path) -> Path:
    """Compile it."""
    program = directory / "diaload"
    subprocess.run(["gcc", "-O2", "-w", "-o", str(program), str(SOURCE), "-lm"], check=True)
    return program


def provisioned(users: int) -> str:
    """The tariff and the accounts it calls with."""
    text = '[[tariff]]\nname = "retail"\ncurrency = "EUR"\ntimezone = "UTC"\nrounding = { mode = "up", decimals = 6 }\n'
    for called, price in VOICE.items():
        text += (
            f'[[tariff.rate]]\nprefix = "{called.removeprefix("tel:+")}"\ndestination = "{called}"\nservice = "voice"\n'
            f'price = "{price / 1e6:.6f}"\nprice_unit = "1s"\npulse = "1/1"\n'
        )
    for service, price, unit in (("data", "0.01", "10kB"), ("message", "0.05", "1")):
        text += (
            f'[[tariff.rate]]\nprefix = ""\ndestination = "{service}"\nservice = "{service}"\n'
            f'price = "{price}"\nprice_unit = "{unit}"\npulse = "1/1"\n'
        )
    for user in range(BASE, BASE + users):
        text += (
            f'[[account]]\nid = "{user}"\ncurrency = "EUR"\ntariff = "retail"\nopening_balance = "1000000.00"\n'
            f'[[account.subscription]]\ntype = "e164"\nvalue = "{user}"\n'
        )
    return text


def started(directory: Path, users: int, url: str | None = None, arguments: Sequence[str] = ()) -> tuple[Aaad, int]:
    """A server with these accounts and a Diameter listener; its port."""
    port = free_port()
    config = (
        '[diameter]\norigin_host = "ocs.example.org"\norigin_realm = "example.org"\n'
        f'listen = ["tcp:{port}:interface=127.0.0.1"]\n'
        '[[peer]]\norigin_host = "*"\nrealm = "example.net"\naddress = ["127.0.0.1/32"]\nquantum = "fixed"\n'
    )
    server = Aaad(directory, config, url, arguments)
    server.start()
    server.apply(provisioned(users))
    return server, port


def charges(service: str, ledger: Path) -> dict[str, int]:
    """What each user is to have paid, by the generator's own books."""
    found: dict[str, int] = {}
    for user, called, sessions, used in csv.reader(ledger.read_text().splitlines()):
        price = {"voice": VOICE[called] * int(used), "data": int(used), "sms": SMS * int(sessions)}[service]
        found[user] = found.get(user, 0) + price
    return found


def charged(server: Aaad) -> dict[str, int]:
    """What each user has paid, by the accounts and by the ledger."""
    rows = server.rows(
        "SELECT a.name, a.balance, (SELECT sum(amount) FROM ledger_entry e WHERE e.account_id = a.id), a.reserved "
        "FROM account a WHERE a.name LIKE '1555%'"
    )
    assert all(balance == entries and not reserved for _, balance, entries, reserved in rows)
    return {name: OPENING_MICRO - balance for name, balance, _, _ in rows if balance != OPENING_MICRO}


def run(program: Path, port: int, ledger: Path, *options: str) -> subprocess.Popen[str]:
    """Start it: strict, a fifth of its requests repeated, connections made again when they break."""
    command = [str(program), "--port", str(port), "--strict", "--dup", "0.2", "--reconnect", "--retries", "3"]
    command += ["--proxy-info", "--warmup", "0", "--drain", "20", "--json", "--ledger", str(ledger), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def outcome(process: subprocess.Popen[str], timeout_s: float) -> dict[str, Any]:
    """Its figures, once it is over."""
    try:
        text, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return json.loads(text[text.index("{") :])
