"""
What a profile costs: a request read into a command, a grant written into an answer.

Run as `python -m bench.profiles`.  Figures are the least time of many short rounds.
"""

from __future__ import annotations

import struct
import time
import timeit
from collections.abc import Callable

from aaa.engine.answers import Grant, LineGrant
from aaa.engine.commands import Identity
from aaa.engine.terms import ChargeKey
from aaa.radius import attributes as a
from aaa.radius import packet
from aaa.radius.clients import Nas, nas_from
from aaa.radius.profiles import access, accounting, answers

ROUNDS, CALLS = 15, 4000
KEYS = ("test|switch|0|s:0123456789abcdef",)


def request(nas: Nas, code: int, *more: bytes) -> packet.Packet:
    """A request of a voice call as this client would send it."""
    profile = nas.profile
    body = packet.attribute(a.USER_NAME, b"user0001") + packet.attribute(a.NAS_IDENTIFIER, b"switch")
    body += packet.attribute(a.ACCT_SESSION_ID, b"0123456789abcdef") + packet.integer(61, 5)
    body += packet.attribute(profile.called[0], b"441632960000") + packet.attribute(profile.calling[0], b"4930123456")
    body += b"".join(more)
    return packet.decode(struct.pack(">BBH", code, 1, 20 + len(body)) + bytes(range(16)) + body)


def least_us(work: Callable[[], object]) -> float:
    """Microseconds of one call."""
    return min(timeit.repeat(work, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def main() -> None:
    now_us = time.time_ns() // 1000
    grant = Grant(7, (LineGrant(ChargeKey(), 60, 60),), 1_000_000_000, "EUR", 1)
    for name in ("generic", "freeswitch", "freeswitch-stock", "cisco-voip", "kamailio"):
        nas = nas_from({"name": "test", "address": "127.0.0.0/8", "secret": "testing123", "profile": name}, {})
        asked = request(nas, packet.ACCESS_REQUEST)
        times = (packet.integer(a.EVENT_TIMESTAMP, now_us // 1_000_000), packet.integer(a.ACCT_SESSION_TIME, 60))
        status = packet.integer(a.ACCT_STATUS_TYPE, a.INTERIM)
        report = request(nas, packet.ACCOUNTING_REQUEST, status, *times)

        def ask(nas: Nas = nas, asked: packet.Packet = asked) -> None:
            read = access.read(nas, asked.attributes, asked.authenticator)
            access.begin(read, nas, KEYS, Identity(read.number, read.digest), "user0001")

        def tell(nas: Nas = nas) -> None:
            answers.granted(nas, grant, (b"7-0123456789abcdef", b"7.1-0123456789abcdef"))

        def interim(nas: Nas = nas, report: packet.Packet = report) -> None:
            accounting.interim(accounting.read(nas.profile, report.attributes, a.INTERIM, now_us), nas, KEYS, None)

        figures = (least_us(ask), least_us(tell), least_us(interim))
        print(f"{name:<17} Access-Request %.2f us, Access-Accept %.2f us, Interim-Update %.2f us" % figures)


if __name__ == "__main__":
    main()
