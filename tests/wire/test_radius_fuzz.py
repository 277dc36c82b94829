"""Mutated packets through the whole receive path: no exception escapes, nothing unauthenticated is answered."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from aaa.radius import checks
from tests.radius_kit import HOME, KEYS, Bench, FakeDirectory, nas, subscriber
from tests.radius_vectors import captures, negatives, octets, vectors

SECRET = "fuzz-secret"
FEW, MANY = 20_000, 1_000_000


def seeds() -> list[bytes]:
    found = [octets(name) for name in vectors() if octets(name)[0] in (1, 4, 12)]
    found += [bytes.fromhex(capture["hex"]) for capture in captures() if capture["code"] in (1, 4)]
    found += [bytes.fromhex(send["hex"]) for case in negatives() for send in case["send"]]
    return sorted(set(found))


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Flip, cut, repeat, insert, or change a length, a few times."""
    octets_ = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        if not octets_:
            return bytes(draw.randbytes(draw.randint(0, 60)))
        at = draw.randrange(len(octets_))
        way = draw.randrange(6)
        if way == 0:
            octets_[at] ^= 1 << draw.randrange(8)
        elif way == 1:
            octets_[at] = draw.choice((0, 1, 2, 26, 80, 127, 128, 255))
        elif way == 2:
            del octets_[at : at + draw.randint(1, 30)]
        elif way == 3:
            octets_[at:at] = draw.randbytes(draw.randint(1, 30))
        elif way == 4:
            octets_[at:at] = octets_[at : at + draw.randint(1, 60)]
        elif len(octets_) > 4:
            octets_[2:4] = draw.choice((len(octets_), len(octets_) + 1, 20, 0, 65535)).to_bytes(2, "big")
    return bytes(octets_[:5000])


class Target:
    """Clients of every profile behind one address each; the users that packets name exist."""

    def __init__(self, **settings):
        profiles = ("generic", "freeswitch", "freeswitch-stock", "cisco-voip", "kamailio", "hotspot")
        entries = [
            nas(name=profile, address=f"127.0.0.{number}/32", secret=SECRET, profile=profile, **settings)
            for number, profile in enumerate(profiles, start=1)
        ]
        people = (subscriber("bob", "hello"), subscriber("1001", "secret1001"), subscriber("alice", hash="{SSHA}xx"))
        self.bench = Bench(*entries, directory=FakeDirectory(*people))
        self.answered = 0
        self.count = len(profiles)

    def run(self, times: int, seed: int) -> None:
        draw = random.Random(seed)
        pool = seeds()
        for number in range(times):
            data = mutated(draw.choice(pool), draw)
            kind = draw.choice((checks.AUTH, checks.ACCT))
            address = (f"127.0.0.{number % self.count + 1}", HOME[1])
            self.bench.now_us += 100
            self.answered += self.bench.send(data, kind, address) is not None
            if number % 1000 == 0:
                self.bench.auth.sent.clear()
                self.bench.acct.sent.clear()
                self.bench.node.submitted.clear()
                self.bench.directory.asked.clear()


def assert_nothing_unauthenticated_is_answered(times: int) -> None:
    """Every client has a secret that no seed was signed with, and must sign: nothing can be sound."""
    target = Target(require_message_authenticator="yes")
    target.run(times, seed=1)

    assert target.answered == 0
    assert sum(target.bench.dropped().values()) == times
    assert target.bench.node.submitted == []


def assert_it_survives_in_bounded_memory(times: int) -> None:
    """Clients that need not sign, with the seeds' own users: everything behind the checks is reached too."""
    target = Target(
        require_message_authenticator="no",
        limit_proxy_state="no",
        accept_foreign_nonce=True,
        authorize_without_credentials=True,
        trust_calling_station_id=True,
    )
    target.run(2000, seed=2)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    target.run(times, seed=3)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert target.answered > 0
    assert grown < 64 << 20
    assert KEYS is target.bench.service.keys


def test_nothing_unauthenticated_is_answered():
    assert_nothing_unauthenticated_is_answered(FEW)


def test_it_survives_in_bounded_memory():
    assert_it_survives_in_bounded_memory(FEW)


@pytest.mark.campaign
def test_a_million_unauthenticated_packets_are_not_answered():
    assert_nothing_unauthenticated_is_answered(MANY)


@pytest.mark.campaign
def test_a_million_packets_are_survived_in_bounded_memory():
    assert_it_survives_in_bounded_memory(MANY)
