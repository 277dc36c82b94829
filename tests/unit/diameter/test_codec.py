"""Every published and constructed vector through our codec, compared with its description and python-diameter."""

from __future__ import annotations

import ipaddress
import json
import struct
from pathlib import Path

import pytest

from aaa.diameter import codec
from aaa.diameter.codec import Avp, Invalid
from aaa.diameter.dictionary import BY_NAME, DEFINITIONS, NUMBERS, key_of

DATA = Path(__file__).parents[2] / "data"
NTP_1970 = 2_208_988_800
VECTORS = [
    vector
    for name in ("3gpp", "base", "cc", "published")
    for vector in json.loads((DATA / f"diameter-{name}.json").read_text())["vectors"]
    if vector.get("kind") != "avp"
]


def value(one: Avp):
    """An AVP as the vectors describe it."""
    definition = DEFINITIONS.get(one.key)
    kind = definition.kind if definition else "octets"
    if kind == "grouped":
        return [[name_of(inner), value(inner)] for inner in codec.group(one)]
    if kind == "time":
        return struct.unpack(">I", one.payload)[0] - NTP_1970
    if kind in NUMBERS:
        return NUMBERS[kind].unpack(one.payload)[0]
    if kind == "address":
        return str(ipaddress.ip_address(one.payload[2:]))
    return one.payload.decode() if kind == "text" else {"hex": one.payload.hex()}


def name_of(one: Avp) -> str:
    definition = DEFINITIONS.get(one.key)
    return definition.name if definition else str(one.key & 0xFFFFFFFF)


def is_same(found, described) -> bool:
    """Compare leniently where vectors write octets as text or an address."""
    if isinstance(described, list) and isinstance(found, list):
        return len(found) == len(described) and all(
            a[0] == b[0] and is_same(a[1], b[1]) for a, b in zip(found, described, strict=True)
        )
    if isinstance(found, dict) and isinstance(described, str):
        payload = bytes.fromhex(found["hex"])
        if payload == described.encode():
            return True
        try:
            return payload[-4:] == ipaddress.ip_address(described).packed[-4:]
        except ValueError:
            return False
    if isinstance(found, str) and isinstance(described, dict):
        return found.encode().hex() == described.get("hex")
    return found == described


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_a_vector_reads_as_described_and_writes_back(vector):
    data = bytes.fromhex(vector["hex"])
    read = codec.decode(data)
    described = vector["decode"]
    if vector.get("expect", {}).get("result_code", 2001) != 5014:
        assert read.problem is None
    assert read.command == described["command"]
    assert read.application == described["application"]
    assert f"0x{read.hop_by_hop:08x}" == described["hop_by_hop"]
    assert f"0x{read.end_to_end:08x}" == described["end_to_end"]
    assert read.is_request is described["flags"]["R"]
    found = [[name_of(one), value(one)] for one in read.avps]
    assert is_same(found, described["avps"]), (found, described["avps"])
    rewritten = codec.message(
        read.flags,
        read.command,
        read.application,
        read.hop_by_hop,
        read.end_to_end,
        [one.encoded() for one in read.avps],
    )
    assert codec.decode(rewritten).avps == read.avps
    assert rewritten == data or "padding" in vector.get("note", "")


def test_the_grouped_avp_of_rfc_6733_reads_with_its_five_parts():
    published = json.loads((DATA / "diameter-published.json").read_text())["vectors"]
    data = bytes.fromhex(next(vector["hex"] for vector in published if vector.get("kind") == "avp"))
    (outer,) = codec.decode(codec.message(0x80, 272, 4, 1, 2, [data])).avps
    assert outer.encoded() == data
    assert [len(inner.payload) + 8 for inner in codec.group(outer)] == [19, 49, 50, 223, 137]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_python_diameter_finds_the_same_avps(vector):
    from diameter.message import Message

    data = bytes.fromhex(vector["hex"])
    ours = [(one.key & 0xFFFFFFFF, one.key >> 32, one.payload) for one in codec.decode(data).avps]
    theirs = [(one.code, one.vendor_id, one.payload) for one in Message.from_bytes(data, plain_msg=True).avps]
    assert ours == theirs


def raw(code: int, length: int, body: bytes, flags: int = 0x40) -> bytes:
    return struct.pack(">II", code, flags << 24 | length) + body


@pytest.mark.parametrize(
    ("body", "failed"),
    [
        (raw(263, 0, b"a;1;2"), codec.avp(263, b"")),
        (raw(263, 400, b"abcd"), codec.avp(263, b"")),
        (raw(263, 7, b"abcd"), codec.avp(263, b"")),
        (raw(416, 8, b""), codec.u32(416, 0)),
        (raw(416, 16, bytes(8)), codec.u32(416, 0)),
        (raw(874, 8, b"", 0xC0), codec.avp(874, b"")),
        (b"\0\0\0\0", b""),
    ],
    ids=["length 0", "overrun", "below header", "no value", "8 octets", "vendor cut off", "stray"],
)
def test_a_broken_avp_is_reported_with_its_header_and_least_payload(body, failed):
    whole = codec.text(264, "peer.example")
    read = codec.decode(codec.message(0xC0, 272, 4, 1, 2, [whole, body]))
    assert read.problem is not None
    assert (read.problem.code, read.problem.failed[:4]) == (5014, failed[:4])
    assert len(read.problem.failed) in (len(failed), len(failed) + 4)
    assert read.text(264) == "peer.example"


def test_a_broken_avp_in_a_group_is_reported_inside_its_group():
    outer = Avp(437, 0x40, raw(421, 12, bytes(4)))
    with pytest.raises(Invalid) as caught:
        codec.group(outer)
    assert caught.value.code == 5014
    assert caught.value.failed == codec.avp(437, codec.u64(421, 0))


def test_padding_is_ignored_whatever_it_contains():
    clean = codec.message(0x80, 280, 0, 1, 2, [codec.text(264, "abcde"), codec.text(296, "x")])
    dirty = clean.replace(b"abcde\0\0\0", b"abcde\xff\xff\xff")
    assert dirty != clean
    assert codec.decode(dirty).avps == codec.decode(clean).avps


def test_an_unknown_avp_survives():
    odd = codec.avp(65_000, b"xyz", 0, 99_999)
    read = codec.decode(codec.message(0x80, 272, 4, 1, 2, [odd]))
    assert read.first(key_of(65_000, 99_999)).encoded() == odd


def test_the_dictionary_knows_what_credit_control_needs():
    for name in ("CC-Request-Type", "Multiple-Services-Credit-Control", "IMS-Information", "Called-Party-Address"):
        assert name in BY_NAME
