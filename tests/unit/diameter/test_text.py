"""A trace shows a message as a person reads it, whatever is in it."""

from __future__ import annotations

import random

from aaa.diameter import codec
from aaa.diameter.text import LINES_MAX, described
from tests.unit.diameter.kit import ccr


def test_avps_stand_under_their_names_and_groups_are_indented():
    money = {"CC-Money": {"Unit-Value": {"Value-Digits": 150, "Exponent": -2}, "Currency-Code": 978}}
    more = ("Event-Timestamp", 4_008_988_800), ("Requested-Service-Unit", money)
    text = described(codec.decode(ccr("INITIAL_REQUEST", 0, *more, flags=0xD0, end_to_end=0xABC, hop_by_hop=7)))
    lines = text.splitlines()
    assert lines[0] == "Credit-Control-Request [RPT] application 4 hop-by-hop 0x00000007 end-to-end 0x00000abc"
    assert "  Session-Id (263) = 'client.test.example;1;1'" in lines
    assert "  CC-Request-Type (416) = 1" in lines
    assert "  Event-Timestamp (55) = 2027-01-15T08:00:00Z" in lines
    assert lines[-5:] == [
        "    CC-Money (413)",
        "      Unit-Value (445)",
        "        Value-Digits (447) = 150",
        "        Exponent (429) = -2",
        "      Currency-Code (425) = 978",
    ]


def test_what_nobody_knows_and_what_is_broken_is_shown_as_octets():
    unknown = codec.avp(77_777, b"\x00\xff", 0, 4_242)
    group = codec.avp(456, b"\x00\x01")
    (_, one, two) = described(codec.decode(codec.message(0x80, 999, 9, 1, 2, [unknown, group]))).splitlines()
    assert one == "  AVP 4242:77777 = 0x00ff"
    assert two == "  Multiple-Services-Credit-Control (456) = 0x0001"


def test_no_message_is_too_broken_or_too_long_to_be_shown():
    chance = random.Random(7)
    data = ccr("INITIAL_REQUEST", 0)
    for _ in range(500):
        mutated = bytearray(data)
        for _ in range(4):
            mutated[chance.randrange(20, len(mutated))] = chance.randrange(256)
        assert described(codec.decode(bytes(mutated))).startswith("Credit-Control-Request")
    many = codec.message(0x80, 272, 4, 1, 1, [codec.u32(416, 1)] * 4_000)
    assert len(described(codec.decode(many)).splitlines()) <= LINES_MAX + 1
