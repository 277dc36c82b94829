"""The conversation that ends a FreeSWITCH channel, as its event socket speaks it."""

from __future__ import annotations

import pytest

from aaa.radius.dynauth import Outcome
from aaa.radius.event_socket import EventSocketKill, call_of

CHANNEL = "5f0a11c2-0000-4000-8000-00000000002a"
GREETING = b"Content-Type: auth/request\n\n"
ACCEPTED = b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
KILLED = b"Content-Type: api/response\nContent-Length: 4\n\n+OK\n"


def test_it_authenticates_and_kills():
    """Password, command, outcome."""
    kill = EventSocketKill("ClueCon", CHANNEL)

    assert b"auth ClueCon\n\n" == kill.received(GREETING)
    assert f"api uuid_kill {CHANNEL} ALLOTTED_TIMEOUT\n\n".encode() == kill.received(ACCEPTED)
    assert b"" == kill.received(KILLED)
    assert Outcome.ACK is kill.outcome


def test_it_does_not_matter_how_the_octets_arrive():
    """One by one is the same conversation."""
    kill = EventSocketKill("x", CHANNEL)
    sent = b"".join(kill.received(bytes([octet])) for octet in GREETING + ACCEPTED + KILLED)

    assert (2, Outcome.ACK) == (sent.count(b"\n\n"), kill.outcome)


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([GREETING, b"Content-Type: command/reply\nReply-Text: -ERR invalid\n\n"], Outcome.NAK),
        ([b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n"], Outcome.NAK),
        (
            [GREETING, ACCEPTED, b"Content-Type: api/response\nContent-Length: 21\n\n-ERR No such channel!"],
            Outcome.ACK,
        ),
        ([GREETING, ACCEPTED, b"Content-Type: api/response\nContent-Length: 11\n\n-ERR denied"], Outcome.NAK),
        ([GREETING, ACCEPTED], None),
        ([b"x" * 70_000], Outcome.NAK),
    ],
)
def test_other_ends(answers: list[bytes], outcome: Outcome | None):
    """A wrong password, a refusal by address, a call that is gone already, a refused command, silence, garbage."""
    kill = EventSocketKill("x", CHANNEL)
    for answer in answers:
        kill.received(answer)

    assert outcome is kill.outcome


def test_only_a_uuid_becomes_a_command():
    """A session id of a stranger's making could carry commands of its own."""
    with pytest.raises(ValueError, match="no channel uuid"):
        EventSocketKill("x", f"{CHANNEL}\n\napi shutdown")
    assert call_of(f"fs|fs1|0|s:{CHANNEL}\n\napi shutdown", ()) is None
    assert CHANNEL == call_of("fs|fs1|0|m:call-id@x", (f"fs|fs1|0|s:{CHANNEL}",))
