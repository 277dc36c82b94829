"""Every malformed and hostile packet that a stream can carry, over RadSec against a running server (RFC 6614)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.e2e.test_radius_negative import IN_TURN, STRANGER, address_of, allowed, clients, people
from tests.radius_kit import access_request, read_reply
from tests.radius_vectors import negatives
from tests.support import radsec
from tests.support.process import Aaad
from tests.wire.test_radius_radsec import Authority

CLOSED = -1  # among the codes of answers: the connection was closed; None is silence on a connection that goes on
CONTROL = 250  # the Identifier of the sound request behind each packet
# Besides those whose target is `dynauth-client`: sessions are ended over UDP, whatever their requests came by.
NOT_ON_A_STREAM = {
    "neg-rad-001": "a stream has no empty datagrams",
    "neg-rad-011": "a stream has no padding: behind the Length begins the next packet",
    "neg-rad-091": "the store is not down here; Status-Server asks nothing of it over either transport",
    "neg-rad-197": "waits for the read timeout: tests/wire/test_radius_radsec.py, with a shorter one",
    "neg-rad-199": "needs an answer held back: tests/wire/test_radius_radsec.py",
}
WAITING = "neg-rad-003"  # an incomplete header: nothing has to come while the others are asked
CASES = [
    case
    for case in negatives()
    if case["target"] in ("auth", "acct", "radsec") and case["id"] not in {*NOT_ON_A_STREAM, WAITING}
]
# What the file says of a stream, as codes.
WORDS: dict[str, set[int | None]] = {
    "close connection": {CLOSED},
    "discard, connection may stay open": {None},
    "single-port RadSec accepts it": {5},
    "first discarded, second answered (or connection closed)": {2},
}
ON_A_STREAM: dict[str, list[set[int | None]]] = {
    **IN_TURN,
    "neg-rad-073": [{2}],  # the rule is against forgery of MD5, which TLS does away with
    "neg-rad-139": [{2}, {CLOSED}],  # nothing more can be asked where somebody forges
}


class Client:
    """The connections of one client, which go by its certificate."""

    def __init__(self, case: dict[str, Any], port: int, source: str, authority: Authority) -> None:
        self.case = case
        files = authority.issue(case["id"], x509.DNSName(case["id"]))
        self._connect: Callable[[], radsec.Connection] = lambda: radsec.Connection(port, source, authority.path, files)
        self.connection = self._connect()

    def ask(self, data: bytes, chunk: int) -> bytes | None:
        """Send a packet and a sound one behind it; returns what came for the first, b"" when that closed."""
        for at in range(0, len(data), chunk):
            self.connection.send(data[at : at + chunk])
        control = access_request((1, "bob"), (44, "control"), password="hello", secret=radsec.SECRET, ident=CONTROL)
        self.connection.send(control)
        first = self.connection.receive()
        if not first:
            self.connection.close()
            self.connection = self._connect()
            self.connection.send(control)
            second, answer = self.connection.receive(), b""
        elif first[1] == CONTROL:
            return self._accepted(first, control)
        else:
            second, answer = self.connection.receive(), first
        self._accepted(second, control)
        return answer

    def _accepted(self, answer: bytes, control: bytes) -> None:
        reply = read_reply(answer, control, radsec.SECRET)
        assert reply is not None and reply.code == 2, self.case["id"]


def _turns(case: dict[str, Any]) -> list[set[int | None]]:
    """The codes that one packet after the other may get."""
    expect = case["expect"]
    stream = expect.get("tcp") or (expect["udp"].get("stream") if isinstance(expect["udp"], dict) else None)
    sent = sum(send.get("repeat", 1) for send in case["send"])
    if case["id"] in ON_A_STREAM:
        return ON_A_STREAM[case["id"]]
    if isinstance(stream, str):
        return [WORDS[stream]] * sent
    return [allowed(stream or expect["udp"])] * sent


def _packets(case: dict[str, Any]) -> list[tuple[bytes, int]]:
    """The packets of a case under the secret of RadSec, each with the size of its segments."""
    packets = []
    for send in case["send"]:
        data = bytes.fromhex(send["hex"])
        if case["target"] != "radsec":
            data = radsec.under_radsec(data, case["secret"].encode())
        packets += [(data, send.get("chunk", len(data)))] * send.get("repeat", 1)
    return packets


def _asked(client: Client) -> list[int | None]:
    """What each packet of a case got; the authenticators and the Error-Cause of answers are checked."""
    case, codes = client.case, []
    for (data, chunk), _ in zip(_packets(case), _turns(case), strict=False):
        answer = client.ask(data, chunk)
        if not answer:
            codes.append(None if answer is None else CLOSED)
            continue
        request = data if data[1] == answer[1] else data[len(data) // 2 :]  # two packets may be one writing
        reply = read_reply(answer, request, radsec.SECRET)
        assert reply is not None
        codes.append(reply.code)
        if "Error-Cause" in json.dumps(case["expect"]):
            assert reply.number(101) == 406, case["id"]
    return codes


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture
def server(aaad: Callable[..., Aaad], authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Aaad:
    monkeypatch.setenv("AAA__RADIUS__TLS", authority.listener())
    server = aaad(clients(CASES))
    server.apply(people())
    return server


def _got(case: dict[str, Any], number: int, server: Aaad, authority: Authority) -> list[int | None]:
    source = STRANGER if case["send"][0].get("from") == "unknown" else address_of(number)
    try:
        client = Client(case, server.ports["tls"], source, authority)
    except OSError:
        return [CLOSED]
    codes = _asked(client)
    assert client.connection.is_quiet(), f"{case['id']}: something came late"
    client.connection.close()
    return codes


def _waiting(server: Aaad, authority: Authority) -> radsec.Connection:
    """A connection on which half a header came."""
    case = next(case for case in negatives() if case["id"] == WAITING)
    connection = Client(CASES[0], server.ports["tls"], address_of(0), authority).connection
    connection.send(bytes.fromhex(case["send"][0]["hex"]))
    return connection


def test_hostile_packets_on_a_stream_get_what_the_standards_say(server: Aaad, authority: Authority):
    """Each from a client of its own, whose next sound request is accepted, on the same connection or on a new one."""
    waiting = _waiting(server, authority)
    wrong = []
    for number, case in enumerate(CASES):
        codes, turns = _got(case, number, server, authority), _turns(case)
        if not all(code in codes_allowed for code, codes_allowed in zip(codes, turns, strict=True)):
            wrong.append((case["id"], case["title"], codes, turns))

    assert waiting.is_quiet(), "half a header is the beginning of one"
    waiting.close()
    assert not wrong, "\n".join(map(str, wrong))
    assert [] == server.api("GET", "/v1/status")["errors"]
    assert 0 == server.mismatches()
