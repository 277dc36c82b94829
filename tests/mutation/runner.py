"""
Break a copy of the project in many small ways, one at a time, and see that each is noticed.

A passage that is not found exactly once is an error, so a list of mutations cannot go stale unnoticed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Mutation(NamedTuple):
    """One way to break one module: a passage of its source, and what stands there instead."""

    what: str
    module: str  # its path inside the project
    old: str
    new: str


def ended(place: Path, command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[bytes] | None:
    """Run a module of the copy with this Python; None when it hangs."""
    environment = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=place,
            env=environment,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None


def tried(mutation: Mutation, place: Path, noticed: Callable[[Path], str]) -> str:
    """Apply one mutation, say who noticed it, and undo it."""
    path = place / mutation.module
    original = path.read_text()
    if original.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.what}: {original.count(mutation.old)} places for {mutation.old!r} in {path.name}")
    path.write_text(original.replace(mutation.old, mutation.new))
    try:
        return noticed(place)
    finally:
        path.write_text(original)


def run(
    description: str, mutations: Sequence[Mutation], copy: Callable[[Path], None], noticed: Callable[[Path], str]
) -> None:
    """
    Try all mutations and exit, with 1 when one survives.

    Args:
        copy: Copies what is needed into a directory.
        noticed: Tests a copy; returns who noticed something, "" when nobody did.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--only", default="", help="those whose description contains this text")
    wanted = parser.parse_args().only
    chosen = [mutation for mutation in mutations if wanted in mutation.what]
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        copy(place)
        if noticed(place):
            raise SystemExit("something is noticed without any mutation")
        for mutation in chosen:
            begun = time.monotonic()
            by = tried(mutation, place, noticed)
            survivors += not by
            verdict = f"noticed by {by}" if by else "SURVIVED"
            seconds = time.monotonic() - begun
            print(f"{mutation.module:<24} {mutation.what:<52} {verdict} ({seconds:.1f} s)", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutations noticed")
    raise SystemExit(bool(survivors))
