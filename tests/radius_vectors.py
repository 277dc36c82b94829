"""The RADIUS vectors of tests/data, read once."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"

FILES = (
    "accounting",
    "captures",
    "nas",
    "rfc2865",
    "rfc5090-digest",
    "rfc5176-dynauth",
    "rfc5997",
    "sterman-digest",
    "voip",
)


@lru_cache
def vectors() -> dict[str, dict[str, Any]]:
    """Every packet vector by its id."""
    found = {}
    for name in FILES:
        for vector in json.loads((DATA / f"radius-{name}.json").read_text())["vectors"]:
            if vector.get("hex") and not vector["id"].endswith("as-printed"):
                found[vector["id"]] = vector
    return found


def vector(name: str) -> dict[str, Any]:
    return vectors()[name]


def octets(name: str) -> bytes:
    return bytes.fromhex(vectors()[name]["hex"])


PRINTED_WRONG = next(
    vector
    for vector in json.loads((DATA / "radius-rfc2865.json").read_text())["vectors"]
    if vector["id"].endswith("as-printed")
)


# Digests that were made for servers of their own: one nonce and one count, so that a server takes one of them.
ONE_NONCE = [
    name for name in vectors() if name.startswith(("rad-digest-auth", "rad-sterman-auth", "rad-sterman-single"))
]


@lru_cache
def captures() -> list[dict[str, Any]]:
    """Every packet that was captured from FreeSWITCH, in order."""
    return [json.loads(line) for line in (DATA / "radius-freeswitch-wire.jsonl").read_text().splitlines()]


@lru_cache
def negatives() -> list[dict[str, Any]]:
    """The malformed and hostile inputs."""
    return json.loads((DATA / "radius-negative.json").read_text())["cases"]
