"""The codec: read what is sound, name what is not, sign and verify as the RFCs print it."""

from __future__ import annotations

import hashlib
import hmac

import pyrad.packet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrad.dictionary import Dictionary

from aaa.radius import attributes as a
from aaa.radius import packet as p
from tests.radius_vectors import PRINTED_WRONG, captures, octets, vector, vectors

REQUESTS = (p.ACCESS_REQUEST, p.STATUS_SERVER)


def as_pyrad(data: bytes) -> dict[int, list[bytes]]:
    """The raw attributes as pyrad reads them, keyed as ours."""
    read = pyrad.packet.Packet(dict=Dictionary(), packet=data)
    found: dict[int, list[bytes]] = {}
    for key in read.raw_keys() if hasattr(read, "raw_keys") else dict.keys(read):
        values = dict.__getitem__(read, key)
        code = (key[0] << 8) | key[1] if isinstance(key, tuple) else key
        found[code] = list(values)
    return found


@pytest.mark.parametrize("name", sorted(vectors()))
def test_every_vector_reads_as_pyrad_reads_it(name):
    data = octets(name)
    mine = p.decode(data)
    theirs = as_pyrad(mine.data)
    for attributes in (theirs, mine.attributes):
        attributes.pop(a.EAP_MESSAGE, None)  # pyrad joins its fragments

    assert theirs == {code: a.every(mine.attributes, code) for code in mine.attributes}


@pytest.mark.parametrize("name", sorted(vectors()))
def test_every_vector_has_the_header_and_the_authenticators_it_says(name):
    entry = vector(name)
    read = p.decode(octets(name))
    if entry.get("decode"):
        assert (entry["decode"]["code"], entry["decode"]["id"]) == (read.code, read.ident)
        assert entry["decode"]["authenticator"] == read.authenticator.hex()
    if not entry.get("secret"):
        return
    secret = p.Secret(entry["secret"].encode())
    of_request = bytes.fromhex(entry.get("request_authenticator", ""))
    for check in entry.get("checks", ()):
        if check in ("acct-authenticator", "acct-style-authenticator"):
            assert p.has_valid_request_authenticator(read, secret)
        elif check == "response-authenticator":
            assert p.has_valid_response_authenticator(read, of_request, secret)
        elif check == "message-authenticator":
            made_over = None if read.code in REQUESTS else (of_request or p.ZEROS)
            assert p.has_valid_signature(read, secret, made_over)
        elif check == "message-authenticator-invalid":
            assert not p.has_valid_signature(read, secret)
        elif check == "ma-first":
            assert read.signature_at == 22
        else:
            assert check == "decode-only"


@pytest.mark.parametrize("name", [n for n in sorted(vectors()) if "user_password" in vector(n).get("expect", {})])
def test_user_password_is_revealed_and_hidden_again(name):
    entry = vector(name)
    read = p.decode(octets(name))
    hidden = a.first(read.attributes, a.USER_PASSWORD)
    clear = p.reveal_password(hidden, entry["secret"].encode(), read.authenticator)

    assert entry["expect"]["user_password"] == clear.decode()
    assert hidden == p.hide_password(clear, entry["secret"].encode(), read.authenticator)


@pytest.mark.parametrize("name", ["rad-2865-7.2-req", "rad-cap-chap-ma", "rad-hotspot-chap"])
def test_chap_response_is_the_one_sent(name):
    chap = vector(name)["expect"]["chap"]
    read = p.decode(octets(name))
    sent = a.first(read.attributes, a.CHAP_PASSWORD)
    challenge = a.first(read.attributes, a.CHAP_CHALLENGE) or read.authenticator

    assert sent[0] == chap["ident"]
    assert sent[1:] == p.chap_response(sent[0], chap["password"].encode(), challenge)


@pytest.mark.parametrize("name", ["rad-acct-start", "rad-acct-proxy-state"])
def test_accounting_response_is_deterministic(name):
    entry = vector(name)
    read = p.decode(octets(name))
    reply = p.answer(
        p.ACCOUNTING_RESPONSE, read, p.proxy_states(read.attributes), p.Secret(entry["secret"].encode()), False
    )

    assert entry["expect"]["deterministic_answer"] == reply.hex()


@pytest.mark.parametrize("name", ["rad-reject-proxy-state", "rad-voip-authorize-reject", "rad-hotspot-accept"])
def test_signed_answer_is_byte_exact_with_the_message_authenticator_first(name):
    entry = vector(name)
    wanted = octets(name)
    request = p.Packet(1, wanted[1], bytes.fromhex(entry["request_authenticator"]), {}, b"", 0)
    reply = p.answer(wanted[0], request, wanted[38:], p.Secret(entry["secret"].encode()), True)

    assert wanted.hex() == reply.hex()


@pytest.mark.parametrize("name", ["rad-dm-request", "rad-acct-start", "rad-5997-6.1-resp"])
def test_truncation_anywhere_is_malformed(name):
    data = octets(name)
    for size in range(len(data)):
        with pytest.raises(p.Malformed):
            p.decode(data[:size])


def test_disconnect_request_verifies_with_pyrad():
    body = p.attribute(a.USER_NAME, b"bob")
    data = p.accounting_style_request(p.DISCONNECT_REQUEST, 7, body, p.Secret(b"s3cret"), True)
    theirs = pyrad.packet.CoAPacket(dict=Dictionary(), packet=data, secret=b"s3cret")

    assert theirs.VerifyCoARequest()
    assert p.has_valid_signature(p.decode(data), p.Secret(b"s3cret"), p.ZEROS)


@pytest.mark.parametrize(
    ("hexed", "reason"),
    [
        ("", "length"),
        ("0100001300000000000000000000000000000000", "length"),
        ("01001001" + "00" * 16, "length"),
        ("0100001500000000000000000000000000000000" + "01", "attribute_length"),
        ("0100001500000000000000000000000000000000" + "0102", "attribute_length"),
        ("0100001600000000000000000000000000000000" + "0101", "attribute_length"),
        ("0100001700000000000000000000000000000000" + "010461", "attribute_length"),
        ("0100001800000000000000000000000000000000" + "1a040000", "attribute_length"),
        ("0100001a00000000000000000000000000000000" + "500600000000", "signature_length"),
        ("0100003800000000000000000000000000000000" + ("5012" + "00" * 16) * 2, "signature_length"),
    ],
)
def test_malformed_packet_is_refused_with_its_reason(hexed, reason):
    with pytest.raises(p.Malformed) as refused:
        p.decode(bytes.fromhex(hexed))

    assert reason == refused.value.reason


def test_request_printed_with_a_wrong_length_is_malformed():
    """RFC 2865 7.3, second request as printed: State of 16 octets with 10 left."""
    with pytest.raises(p.Malformed):
        p.decode(bytes.fromhex(PRINTED_WRONG["hex"]))


def test_length_overflow_of_a_real_client_is_malformed():
    """A VSA length octet that wrapped must not turn the caller's text into attributes."""
    wrapped = [c for c in captures() if c["capture"].startswith("64-") and c["code"] in (1, 4)]

    assert wrapped
    for capture in wrapped:
        with pytest.raises(p.Malformed):
            p.decode(bytes.fromhex(capture["hex"]))


@pytest.mark.parametrize(
    ("inside", "seen"),
    [
        ("00000009", {}),
        ("0000000901", {}),
        ("000000090100", {}),
        ("00000009010461", {}),
        ("0000000901036101", {}),
        ("0000000901036166046e", {}),
        ("00000000010361", {}),
        ("000000090102", {a.CISCO_AVPAIR: b""}),
        ("00000009010361", {a.CISCO_AVPAIR: b"a"}),
        ("00000009010361660335", {a.CISCO_AVPAIR: b"a", a.H323_CREDIT_TIME: b"5"}),
        ("00000009010361" + "010362" + "01", {}),
        ("00000009010361010362", {a.CISCO_AVPAIR: [b"a", b"b"]}),
    ],
)
def test_vendor_specific_is_read_whole_or_ignored(inside, seen):
    value = bytes.fromhex(inside)
    body = bytes((26, len(value) + 2)) + value
    data = b"\x01\x00" + (20 + len(body)).to_bytes(2, "big") + bytes(16) + body

    assert seen == p.decode(data).attributes


def test_attributes_of_one_type_keep_their_order():
    body = b"".join(p.attribute(a.PROXY_STATE, bytes((n,))) + p.attribute(a.CISCO_AVPAIR, b"x%d" % n) for n in range(3))
    data = p.accounting_style_request(4, 1, body, p.Secret(b"x"), False)
    read = p.decode(data).attributes

    assert a.every(read, a.PROXY_STATE) == [b"\0", b"\1", b"\2"]
    assert a.every(read, a.CISCO_AVPAIR) == [b"x0", b"x1", b"x2"]
    assert bytes.fromhex("210300210301210302") == p.proxy_states(read)


def test_answer_beyond_4096_octets_is_refused():
    request = p.Packet(1, 1, bytes(16), {}, b"", 0)
    with pytest.raises(p.TooLong):
        p.answer(2, request, bytes(4076 - 17), p.Secret(b"x"), True)

    assert len(p.answer(2, request, bytes(4076 - 18), p.Secret(b"x"), True)) == 4096


def test_value_that_fits_no_attribute_is_refused():
    with pytest.raises(p.TooLong):
        p.attribute(a.USER_NAME, bytes(254))
    with pytest.raises(p.TooLong):
        p.attribute(a.CISCO_AVPAIR, bytes(248))


def test_empty_secret_is_refused():
    with pytest.raises(ValueError, match="empty"):
        p.Secret(b"")


@given(st.binary(min_size=1, max_size=100), st.binary(max_size=300))
def test_mac_is_hmac_md5(key, message):
    assert hmac.new(key, message, hashlib.md5).digest() == p.Secret(key).mac(message)


@given(st.binary(max_size=128), st.binary(min_size=1, max_size=60), st.binary(min_size=16, max_size=16))
def test_passwords_survive_hiding(password, secret, authenticator):
    hidden = p.hide_password(password, secret, authenticator)

    assert password.rstrip(b"\0") == p.reveal_password(hidden, secret, authenticator)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_packet_or_malformed(data):
    try:
        read = p.decode(data)
    except p.Malformed as refused:
        assert refused.reason
    else:
        assert len(read.data) <= len(data)


@pytest.mark.parametrize("size", [0, 15, 17, 144, 130])
def test_password_of_an_impossible_length_is_none(size):
    assert p.reveal_password(bytes(size), b"s", bytes(16)) is None
