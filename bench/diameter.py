"""
Speed of the Diameter face: from the octets of a request to the engine's command, and from its answer to octets.

Run as `python -m bench.diameter`.  The requests are those of a checking load generator: a voice call over
several quotas, its Session-Id, times and identifiers different in each.  First the face alone, on a node that
answers at once: the least CPU time of many short rounds.  Then a real server with everything durable, under that
load generator: CPU time per request, which survives a busy machine better than requests per second do.
"""

from __future__ import annotations

import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.capabilities import Identity
from aaa.diameter.cca import answer
from aaa.diameter.ccr import Reading, read
from aaa.diameter.credit_control import asked, command
from aaa.diameter.dictionary import BY_NAME
from aaa.diameter.pattern import Patterns
from aaa.diameter.peers import Peers, peer_from
from aaa.diameter.plan import CONTEXTS, Asked, plan_of
from aaa.diameter.server import DiameterServer, Settings, _ConnectionFactory
from aaa.engine.answers import Ack, Answer, Grant, LineGrant, Outcome
from aaa.engine.commands import Begin, Command, End
from aaa.engine.ports import Subscriber
from aaa.keys import Keys
from bench.rating import tell
from tests.support.diaload import built, charged, charges, outcome, run, started

SESSIONS = 64
ROUNDS = 60
USERS = 500
SECONDS = 8
TABLE = {"origin_host": "*", "realm": "example.net", "address": ["127.0.0.0/8"], "quantum": "fixed"}


class AtOnce:
    """A node that allows everything as soon as it is flushed, and a directory that knows everybody."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Command, Callable[[Answer], None]]] = []

    def submit(self, command: Command, account_id: int | None, reply: Callable[[Answer], None]) -> None:
        self.waiting.append((command, reply))

    def flush(self) -> None:
        waiting, self.waiting = self.waiting, []
        for taken, reply in waiting:
            reply(answer_to(taken))

    def find(self, identities: Sequence[tuple[str, str]], found: Callable[[Subscriber | None], None]) -> None:
        kind, value = identities[0]
        found(Subscriber(1, value, kind, value, {}))

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def restart_peer(self, identity: str, state_id: int, known: Callable[[], None]) -> None:
        known()

    def knows(self, names: Sequence[str]) -> bool:
        return True


def answer_to(taken: Any) -> Answer:
    """What a rich account gets."""
    if isinstance(taken, End):
        return Ack(Outcome.DONE, 7, 150_000, 999_850_000, "EUR")
    line = LineGrant(taken.lines[0].key, 60, 120, 600, cost_micro=0 if isinstance(taken, Begin) else 50_000)
    return Grant(7, (line,), 999_950_000, "EUR", 2)


def avp(name: str, value: int | str | bytes | Sequence[bytes]) -> bytes:
    """One AVP by name."""
    one = BY_NAME[name]
    if isinstance(value, int):
        value = struct.pack(">Q" if one.kind.endswith("64") else ">I", value)
    elif isinstance(value, str):
        value = value.encode()
    elif not isinstance(value, bytes):
        value = b"".join(value)
    return codec.avp(one.key & 0xFFFFFFFF, value, codec.MANDATORY, one.key >> 32)


def ccr(session: int, kind: int, number: int) -> bytes:
    """A request of a voice call with one MSCC, as IMS nodes write it."""
    host, user, now_s = "load0.example.net", str(15_550_000_000 + session % 500), 3_990_000_000 + session + number
    session_id = f"{host};1700000000;{100_000 + session}"
    units = []
    if kind != 3:
        units.append(avp("Requested-Service-Unit", [avp("CC-Time", 60)]))
    if kind != 1:
        units.append(avp("Used-Service-Unit", [avp("CC-Time", 41 + session % 19)]))
    units.append(avp("Rating-Group", 1))
    if kind != 1:
        units.append(avp("Reporting-Reason", 2 if kind == 3 else 3))
    ims = [
        avp("Event-Type", [avp("SIP-Method", ("", "INVITE", "UPDATE", "BYE")[kind])]),
        avp("Role-Of-Node", 0),
        avp("Node-Functionality", 0),
        avp("User-Session-Id", session_id),
        avp("Calling-Party-Address", f"tel:+{user}"),
        avp("Called-Party-Address", f"tel:+44207946{session % 10_000:04d}"),
        avp("Time-Stamps", [avp("SIP-Request-Timestamp", now_s)]),
        avp("IMS-Charging-Identifier", session_id),
    ]
    body = [
        avp("Session-Id", session_id),
        avp("Origin-Host", host),
        avp("Origin-Realm", "example.net"),
        avp("Destination-Realm", "example.org"),
        avp("Auth-Application-Id", 4),
        avp("Service-Context-Id", "32260@3gpp.org"),
        avp("CC-Request-Type", kind),
        avp("CC-Request-Number", number),
        avp("Origin-State-Id", 1_700_000_000),
        avp("Event-Timestamp", now_s),
        avp("User-Name", user),
        avp("Subscription-Id", [avp("Subscription-Id-Type", 0), avp("Subscription-Id-Data", user)]),
        *([avp("Termination-Cause", 1)] if kind == 3 else []),
        avp("Multiple-Services-Indicator", 1),
        avp("Multiple-Services-Credit-Control", units),
        avp("Service-Information", [avp("IMS-Information", ims)]),
    ]
    name = session * 8 + number
    return codec.message(0xC0, n.CREDIT_CONTROL, 4, name, 1_000_000 + name, body)


def calls() -> Iterator[list[bytes]]:
    """One round: so many calls side by side, each with a beginning, two reports and an end."""
    first = 0
    while True:
        found = []
        for number, kind in enumerate((1, 2, 2, 3)):
            found += [ccr(first + session, kind, number) for session in range(SESSIONS)]
        first += SESSIONS
        yield found


def opened(connections: int) -> tuple[Any, list[Any], Clock]:
    """A server on the node that answers at once, and open connections to it."""
    node, reactor = AtOnce(), Clock()
    peers = Peers([peer_from(TABLE, {})])
    settings = Settings("ocs.example.org", "example.org")
    server = DiameterServer(node, node, peers, Keys([bytes(32)]), settings)  # type: ignore[arg-type]
    server.reactor = reactor
    cer = [
        avp("Origin-Host", "load0.example.net"),
        avp("Origin-Realm", "example.net"),
        avp("Host-IP-Address", b"\0\1\x7f\0\0\1"),
        avp("Vendor-Id", 0),
        avp("Product-Name", "load"),
        avp("Auth-Application-Id", 4),
    ]
    made = []
    for _ in range(connections):
        one = _ConnectionFactory(server).buildProtocol(IPv4Address("TCP", "127.0.0.1", 4000))
        one.makeConnection(StringTransport(hostAddress=IPv4Address("TCP", "127.0.0.1", 3868)))
        one.dataReceived(codec.message(0x80, n.CAPABILITIES_EXCHANGE, 0, 1, 1, cer))
        made.append(one)
    return server, made, reactor


def face_us(connections: int, per_segment: int) -> float:
    """CPU microseconds of the face for one request and its answer, its connections fed in turn."""
    _, made, reactor = opened(connections)
    rounds = calls()
    figures = []
    for _ in range(ROUNDS):
        requests = next(rounds)
        segments = [b"".join(requests[at : at + per_segment]) for at in range(0, len(requests), per_segment)]
        begun = time.process_time()
        for number, segment in enumerate(segments):
            made[number % connections].dataReceived(segment)
            if number % connections == connections - 1:
                reactor.advance(0)
        figures.append((time.process_time() - begun) / len(requests) * 1e6)
        for one in made:
            one.transport.clear()
    return min(figures)


def least_us(work: Callable[[Any], object], made: Callable[[], list[Any]]) -> float:
    """CPU microseconds of a piece of work on one of the things it is done with, made anew for each round."""
    figures = []
    for _ in range(ROUNDS):
        things = made()
        begun = time.process_time()
        for thing in things:
            work(thing)
        figures.append((time.process_time() - begun) / len(things) * 1e6)
    return min(figures)


def parts() -> None:
    """Reading and writing alone, the services of a server that has learnt how its client writes."""
    patterns, peer, us = Patterns(), peer_from(TABLE, {}), Identity("ocs.example.org", "example.org")
    rounds = calls()
    for data in [*next(rounds), *next(rounds)]:
        if patterns.read(data) is None:
            patterns.learn(data, Reading(data, codec.decode(data)))

    def understood() -> list[Asked]:
        requests = [patterns.read(data) or read(data) for data in next(rounds)]
        return [asked(request, plan_of(request, peer, CONTEXTS)) for request in requests]

    def decided() -> list[tuple[Asked, Answer]]:
        return [(one, answer_to(command(one, "d|a|b", 1))) for one in understood()]

    reading_us = least_us(patterns.read, lambda: next(rounds))
    writing_us = least_us(lambda one: answer(one[0], us, one[1]), decided)
    tell("read a CCR as its client always writes it", reading_us, "us", "-")
    tell("read a CCR that was never seen", least_us(read, lambda: next(rounds)), "us", "-")
    tell("its command", least_us(lambda one: command(one, "d|a|b", 1), understood), "us", "-")
    tell("write its CCA", writing_us, "us", "-")
    tell("codec of a CCR and its CCA", reading_us + writing_us, "us", "<= 20")


def spent_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def served(directory: Path) -> None:
    """A real server on SQLite, called by the checking load generator; its ledger must equal the client's books."""
    program = built(directory)
    server, port = started(directory / "node", USERS)
    try:
        for what, connections, waiting in (
            ("one connection, 64 waiting", 1, 64),
            ("64 connections, 256 waiting", 64, 256),
        ):
            paid, begun_s, ledger = charged(server), spent_s(server.pid), directory / f"{connections}.csv"
            options = ["--users", USERS, "--conns", connections, "--inflight", waiting, "--duration", SECONDS]
            result = outcome(run(program, port, ledger, "--service", "voice", *map(str, options)), 60)
            cpu_us = (spent_s(server.pid) - begun_s) / result["requests"] * 1e6
            rate, latency = result["rps"], result["latency_us"]
            percentiles = f"p50 {latency['p50'] / 1000:.1f} ms, p99 {latency['p99'] / 1000:.1f} ms"
            tell(f"durable CCR, {what}: {rate:.0f}/s, {percentiles}", cpu_us, "us", "<= 55")
            told = {user: charge - paid.get(user, 0) for user, charge in charged(server).items()}
            told = {user: charge for user, charge in told.items() if charge}
            if result["errors"] or server.mismatches() or told != charges("voice", ledger):
                raise SystemExit(f"wrong answers or charges under load: {result}")
    finally:
        server.stop()


def main() -> None:
    parts()
    tell("all, one connection, 16 requests in a segment", face_us(1, 16), "us", "<= 30")
    tell("all, 64 connections, a request each", face_us(64, 1), "us", "<= 30")
    with tempfile.TemporaryDirectory(prefix="aaa-bench-", dir=os.environ.get("BENCH_DIR", ".")) as name:
        served(Path(name).absolute())


if __name__ == "__main__":
    main()
