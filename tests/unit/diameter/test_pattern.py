"""What a pattern reads is what the full reader would have read, or nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.ccr import Ccr, Reading
from aaa.diameter.codec import Invalid
from aaa.diameter.pattern import KEYS_MAX, MISSES_BEFORE, PATTERNS_MAX, Patterns, pattern_of
from bench.diameter import ccr as load_ccr
from tests.unit.diameter.kit import ccr
from tests.wire.test_diameter_fuzz import mutated

DATA = Path(__file__).parents[2] / "data"
REQUEST = 0x80
SERVICES = ("Multiple-Services-Credit-Control", [
    {"Rating-Group": 10, "Requested-Service-Unit": {}, "Used-Service-Unit": [
        {"CC-Total-Octets": 900, "CC-Input-Octets": 400, "CC-Output-Octets": 500},
        {"Tariff-Change-Usage": 1, "CC-Total-Octets": 30},
    ]},
    {"Service-Identifier": 7, "Used-Service-Unit": {"CC-Time": 5}, "Requested-Service-Unit": {"CC-Time": 60}},
])  # fmt: skip
TWICE = ("Service-Information", {
    "Subscription-Id": {"Subscription-Id-Type": "END_USER_IMSI", "Subscription-Id-Data": "234150000000001"},
    "IMS-Information": {"Calling-Party-Address": "tel:+441632960001", "Called-Party-Address": "sip:+4420@x;user=phone"},
    "SMS-Information": {"Recipient-Info": {"Recipient-Address": {"Address-Data": "442079460123"}}},
})  # fmt: skip
PROXIES = [
    ("Proxy-Info", [{"Proxy-Host": "dra1.example", "Proxy-State": b"abc"}, {"Proxy-Host": "d", "Proxy-State": b"1"}])
]


def understood(data: bytes) -> Reading | None:
    message = codec.decode(data)
    if message.command != n.CREDIT_CONTROL or message.problem is not None or not data[4] & REQUEST:
        return None
    if message.flags & codec.ERROR or message.application != n.APPLICATION_CREDIT_CONTROL:
        return None
    try:
        return Reading(data, message)
    except Invalid:
        return None


REQUESTS = {
    "voice-1": load_ccr(3, 1, 0), "voice-2": load_ccr(3, 2, 1), "voice-3": load_ccr(3, 3, 2),
    "several services": ccr("UPDATE_REQUEST", 3, SERVICES, context="32251@3gpp.org"),
    "named twice": ccr("INITIAL_REQUEST", 0, TWICE),
    "through proxies": ccr("INITIAL_REQUEST", 0, *PROXIES),
    "event": ccr("EVENT_REQUEST", 0, ("Requested-Action", 0), ("Requested-Service-Unit", {
        "CC-Service-Specific-Units": 1})),
    **{
        vector["id"]: bytes.fromhex(vector["hex"])
        for name in ("3gpp", "base", "cc")
        for vector in json.loads((DATA / f"diameter-{name}.json").read_text())["vectors"]
    },
}  # fmt: skip
REGULAR = {
    name: data for name, data in REQUESTS.items() if (read := understood(data)) and pattern_of(data, read) is not None
}


def by_pattern(data: bytes, of: bytes) -> Ccr | None:
    reading = understood(of)
    assert reading is not None
    pattern = pattern_of(of, reading)
    assert pattern is not None
    return pattern.read(data)


def compared(data: bytes, found: Ccr | None) -> bool:
    """Whether the pattern read it; if so it must be what the full reader reads."""
    if found is None:
        return False
    reading = understood(data)
    assert reading is not None
    assert found == reading.ccr
    return True


def test_most_requests_have_a_pattern():
    read = [name for name, data in REQUESTS.items() if understood(data)]
    assert {"voice-1", "several services", "named twice", "through proxies", "event"} <= set(REGULAR)
    assert len(REGULAR) > len(read) * 0.6 > 15


@pytest.mark.parametrize("name", REGULAR)
def test_every_octet_decides_or_is_read_alike(name):
    data = REGULAR[name]
    reading = understood(data)
    pattern = pattern_of(data, reading)
    alike = 0
    for at in range(4, len(data)):
        for change in (1, 0x10, 0x80, 0xFF):
            changed = bytearray(data)
            changed[at] ^= change
            alike += compared(bytes(changed), pattern.read(bytes(changed)))
    assert compared(data, pattern.read(data))
    assert alike > 50  # identifiers, numbers and names may all be others


@pytest.mark.parametrize("name", ["voice-2", "several services", "named twice", "through proxies"])
def test_many_changes_at_once_are_read_alike(name):
    data, chance = REGULAR[name], random.Random(8506)
    pattern = pattern_of(data, understood(data))
    holes = [at for at in range(4, len(data)) if pattern.read(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])]
    alike = 0
    for _ in range(500):
        changed = bytearray(data)
        for at in chance.sample(holes, chance.randrange(1, len(holes))):
            changed[at] = chance.randrange(128)
        alike += compared(bytes(changed), pattern.read(bytes(changed)))
    assert alike > 50


def test_what_the_full_reader_refuses_no_pattern_reads():
    """The malformed messages, and mutated ones, to a service that has learnt how its clients write."""
    patterns = Patterns()
    for data in [*REGULAR.values()] * (MISSES_BEFORE << 3):
        if patterns.read(data) is None:
            patterns.learn(data, understood(data))
    assert all(patterns.read(data) is not None for data in REGULAR.values())
    cases = json.loads((DATA / "diameter-negative.json").read_text())["cases"]
    sent = [bytes.fromhex(one["hex"]) for case in cases for one in case["send"]]
    chance, regular = random.Random(6733), list(REGULAR.values())
    sent += [mutated(chance.choice(regular), chance) for _ in range(5_000)]
    alike = sum(compared(data, patterns.read(data)) for data in sent if len(data) > codec.HEADER_SIZE)
    assert 100 < alike < len(sent) - 500


def test_another_call_of_the_same_client_is_read_by_the_pattern_of_the_first():
    for kind in (1, 2, 3):
        other = load_ccr(77, kind, kind)
        assert compared(other, by_pattern(other, load_ccr(3, kind, kind)))


def test_what_one_client_has_taught_serves_another():
    """Who sends a request is its own, as its number is: many clients of one make have one pattern."""
    data = REGULAR["voice-2"]
    read = by_pattern(data.replace(b"load0.example.net", b"LOAD7.example.org"), data)
    assert compared(data.replace(b"load0.example.net", b"LOAD7.example.org"), read)
    assert read.origin_host == "load7.example.org"


def test_a_pattern_is_made_when_a_template_comes_again():
    patterns = Patterns()
    for session in range(5):
        data = load_ccr(session, 2, 1)
        found = patterns.read(data)
        assert (found is not None) is (session >= 2)
        if found is None:
            patterns.learn(data, understood(data))


def test_patterns_are_bounded_whatever_is_sent():
    patterns = Patterns()
    for length in range(KEYS_MAX + 50):
        data = ccr("INITIAL_REQUEST", 0, session="x" * (1 + length))
        for _ in range(2):
            patterns.learn(data, understood(data))
    for host in range(40):
        for _ in range(20):
            data = ccr("INITIAL_REQUEST", 0, ("Route-Record", f"dra{host:02}.example"))
            patterns.learn(data, understood(data))
    assert len(patterns._found) <= KEYS_MAX
    assert len(patterns._missed) <= KEYS_MAX
    assert max(len(found) for found in patterns._found.values()) <= PATTERNS_MAX
    assert patterns.read(ccr("INITIAL_REQUEST", 0, session="x" * 1_000)) is not None
