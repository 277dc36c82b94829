"""
Mutated messages through connection, codec, service and node: nothing escapes, nothing grows, others are served.
"""

from __future__ import annotations

import json
import os
import random
import resource
import time
from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from tests.wire.test_diameter_negative import CER, DWR, Wire, result

DATA = Path(__file__).parents[1] / "data"
MESSAGES = [
    bytes.fromhex(vector["hex"])
    for name in ("3gpp", "base", "cc")
    for vector in json.loads((DATA / f"diameter-{name}.json").read_text())["vectors"]
    if vector["direction"] == "client->server"
]


GROWTH_MAX_KB = 256 << 10  # what bounded caches may still fill after a tenth of the way


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One to four octets changed, lengths and codes more often; the frame's own length is kept whole or broken."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed))
        way = chance.randrange(4)
        if way == 0:
            changed[at] = chance.randrange(256)
        elif way == 1:
            changed[at] ^= 1 << chance.randrange(8)
        elif way == 2:
            start = 20 + 4 * chance.randrange((len(changed) - 20) // 4)
            changed[start : start + 4] = chance.choice(
                (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\1\xbb", b"\x40\0\0\x08")
            )
        else:
            cut = 4 * chance.randrange(len(changed) // 4)
            del changed[cut : cut + 4]
            changed += b"\0\0\0\0"
    if chance.random() < 0.9:
        changed[:4] = b"\1" + len(changed).to_bytes(3, "big")
    return bytes(changed)


def resident_kb() -> int:
    """The most memory this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def storm(tmp_path, messages: int, seed: int) -> tuple[float, int]:
    chance = random.Random(seed)
    wire = Wire(tmp_path)
    witness = wire.opened()
    connection = wire.opened()
    slowest_s, early_kb = 0.0, resident_kb()
    for number in range(messages):
        if connection.transport.disconnecting:
            connection.connectionLost()
            connection = wire.connect()
            if chance.random() < 0.9:
                wire.send(connection, CER)
        message = mutated(chance.choice(MESSAGES), chance)
        began = time.perf_counter()
        connection.dataReceived(message)
        slowest_s = max(slowest_s, time.perf_counter() - began)
        if number % 50 == 0:
            wire.send(connection)
        if number == messages // 10:
            early_kb = resident_kb()
        if number % 500 == 0:
            assert result(wire.send(witness, DWR)[0]) == 2001
    wire.send(connection)
    assert result(wire.send(witness, DWR)[0]) == 2001
    assert len(wire.server.connections) <= 2
    assert not wire.server.service._behind
    assert not connection.answers._turns
    assert not wire.ocs.server.errors
    grown_kb = resident_kb() - early_kb
    for name in ("441632960001", "441632960002", "441632960003"):
        row = wire.ocs.account(name)
        assert 0 <= row["accrued"] <= row["reserved"]
    return slowest_s, grown_kb


def test_three_thousand_mutated_messages_do_no_harm(tmp_path):
    slowest_s, grown_kb = storm(tmp_path, 3_000, 6733)
    assert slowest_s < 1 and grown_kb < GROWTH_MAX_KB


@pytest.mark.campaign
def test_a_million_mutated_messages_do_no_harm(tmp_path):
    messages, seed = int(os.environ.get("FUZZ_MESSAGES", "1000000")), int(os.environ.get("FUZZ_SEED", "8506"))
    slowest_s, grown_kb = storm(tmp_path, messages, seed)
    assert slowest_s < 1 and grown_kb < GROWTH_MAX_KB


def test_a_stranger_is_not_even_connected(tmp_path):
    from aaa.diameter.server import _ConnectionFactory

    wire = Wire(tmp_path)
    assert _ConnectionFactory(wire.server).buildProtocol(IPv4Address("TCP", "203.0.113.1", 4000)) is None


def test_a_slow_reader_is_cut_off(tmp_path):
    wire = Wire(tmp_path)
    connection = wire.opened()
    connection.pauseProducing()
    for _ in range(1_000):
        connection.dataReceived(DWR * 64)
        wire.reactor.advance(0)
        if connection.transport.disconnected or connection.transport.disconnecting:
            break
    else:
        raise AssertionError("the reader that never reads is still connected")
    assert isinstance(connection.transport, StringTransport)
