"""Replays of what FreeSWITCH really sent: sessions correlate, and nothing it cannot take goes back."""

from __future__ import annotations

import pytest

from aaa.engine.commands import Begin, End, Update
from aaa.radius import attributes as a
from aaa.radius import checks
from aaa.radius import packet as p
from aaa.radius.profiles.freeswitch import FREESWITCH, FREESWITCH_STOCK
from tests.radius_kit import Bench, FakeDirectory, FakeNode, Reply, granted, nas, read_reply, subscriber
from tests.radius_vectors import captures

NAMES = sorted({capture["capture"] for capture in captures()})
OURS = [name for name in NAMES if name[:2] in ("30", "31", "32", "34", "35", "36", "37", "38", "57")]


def requests(name: str) -> list[dict]:
    return [c for c in captures() if c["capture"] == name and c["code"] in (1, 4)]


class Replayed:
    """A capture served again, with each answer."""

    def __init__(self, name: str, profile: str = "freeswitch", told: int = 8):
        entry = nas(
            profile=profile,
            accept_foreign_nonce=True,
            authorize_without_credentials=True,
            trust_calling_station_id=True,
        )
        self.numbers: dict[str, int] = {}
        node = FakeNode(lambda command, account_id: granted(told))
        self.bench = Bench(entry, node=node, directory=FakeDirectory(subscriber("1001", "secret1001")))
        self.replies: list[tuple[dict, Reply | None]] = []
        for capture in requests(name):
            data = bytes.fromhex(capture["hex"])
            kind = checks.AUTH if capture["code"] == 1 else checks.ACCT
            self.bench.now_us = int(float(str(capture["ts"])) * 1_000_000)
            host, _, port = capture["src"].rpartition(":")
            answer = self.bench.send(data, kind, (host, int(port)))
            self.replies.append((capture, read_reply(answer, data, capture["secret"].encode())))

    @property
    def commands(self) -> list:
        return [command for command, _ in self.bench.node.submitted]

    def sessions(self) -> int:
        """How many sessions the commands name, when equal names mean one session."""
        groups: list[set[str]] = []
        for command in self.commands:
            names = {command.key, *command.aliases}
            found = [group for group in groups if group & names]
            groups = [group for group in groups if group not in found]
            groups.append(names.union(*found))
        return len(groups)


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith(("64", "70"))])
def test_every_request_is_answered(name):
    """But for one that repeats what is answered already, which gets the same bytes again."""
    for capture, reply in Replayed(name).replies:
        assert reply is not None, capture["n"]
        assert reply.code in (p.ACCESS_ACCEPT, p.ACCESS_REJECT, p.ACCOUNTING_RESPONSE)


@pytest.mark.parametrize("name", NAMES)
def test_no_answer_holds_what_the_clients_dictionary_does_not_name(name):
    """One unknown attribute makes this client drop all of them and call it accepted (captures 06, 07, 61)."""
    for profile in (FREESWITCH, FREESWITCH_STOCK):
        for _, reply in Replayed(name, profile.name).replies:
            if reply is not None:
                assert set(reply.codes) <= set(profile.takes)


@pytest.mark.parametrize("name", [n for n in OURS if not n.startswith("31")])
def test_a_call_is_one_session_from_start_to_stop(name):
    replayed = Replayed(name)

    assert replayed.sessions() == 1
    assert len({command.identity for command in replayed.commands if isinstance(command, End)}) == 1


def test_a_digest_call_is_tied_to_its_accounting_by_the_call_id():
    """Capture 33: the INVITE has no channel uuid yet."""
    replayed = Replayed("33-ours-invite-digest-call")
    begin, start, end = replayed.commands

    assert [type(one) for one in replayed.commands] == [Begin, Update, End]
    assert begin.key == "nas1|fs-prepaid-1|0|m:1-13481@127.0.0.1"
    assert start.aliases == end.aliases == (begin.key,)
    assert begin.subscriber == "1001"


def test_start_never_reports_usage_and_never_asks():
    for name in NAMES:
        for command in Replayed(name).commands:
            if isinstance(command, Update) and command.is_start:
                assert command.lines == ()


def test_both_stock_legs_are_answered_and_only_the_callers_is_charged():
    """Capture 01: four accounting requests of two legs with one conference id."""
    replayed = Replayed("01-stock-authapp-5005", "freeswitch-stock")

    assert len(replayed.replies) == 5
    assert replayed.sessions() == 1
    assert [type(one) for one in replayed.commands] == [Update, Begin, End]


def test_a_transfer_is_the_same_session_with_another_destination():
    """Capture 38: a second Start and an Access-Request with phase transfer, under the same uuid."""
    replayed = Replayed("38-ours-transfer-midcall")
    begins = [one for one in replayed.commands if isinstance(one, Begin)]

    assert replayed.sessions() == 1
    assert [one.transfer for one in begins] == [False, True]
    assert [one.lines[0].destination for one in begins] == ["5010", "5005"]
    assert begins[0].identity != begins[1].identity
    assert begins[1].lines[0].usage is None
    assert len([one for one in replayed.commands if isinstance(one, Update)]) == 2


def test_renewals_report_what_was_used_and_are_told_when_to_come_back():
    """Capture 32: 8 s at a time, asked again after 5, 10 and 15 s."""
    replayed = Replayed("32-ours-reauth-midcall-5020")
    begins = [one for one in replayed.commands if isinstance(one, Begin)]
    accepts = [reply for _, reply in replayed.replies if reply.code == p.ACCESS_ACCEPT]

    assert [one.identity.number for one in begins] == ["t0", "t5", "t10", "t15"]
    assert [one.lines[0].usage.units for one in begins[1:]] == [5, 10, 15]
    assert all(reply[a.H323_CREDIT_TIME] == b"8" for reply in accepts)
    assert all(reply.number(a.ACCT_INTERIM_INTERVAL) == 5 for reply in accepts)


def test_the_stop_tells_when_the_call_was_answered_and_why_it_ended():
    end = Replayed("32-ours-reauth-midcall-5020").commands[-1]

    assert end.cause == "exhausted"
    assert end.lines[0].usage.units == 18
    assert end.answered_us == 1_795_248_858_296_921
    assert end.event_us == 1_795_248_876_000_000
    assert end.orphan.lines[0].destination == "5020"


def test_cisco_style_times_are_read_as_well():
    """Capture 35: time_format 1."""
    end = Replayed("35-ours-time_format-1").commands[-1]

    assert end.answered_us == 1_795_247_574_803_000


def test_retransmissions_get_the_same_answer_and_are_worked_on_once():
    """Capture 42: identical datagrams, the answers lost."""
    name = next(name for name in NAMES if name.startswith("42"))
    replayed = Replayed(name)
    repeated = [capture["hex"] for capture, _ in replayed.replies]

    assert len(set(repeated)) < len(repeated)
    assert len(replayed.commands) == len(set(repeated))


def test_a_length_overflow_of_the_client_is_dropped():
    replayed = Replayed("64-stock-malformed-vsa-from-234")

    assert all(reply is None for _, reply in replayed.replies)
    assert replayed.bench.dropped() == {"attribute_length": len(replayed.replies)}


def test_registration_is_accepted_without_asking_the_engine():
    for name in ("03", "39"):
        capture = next(one for one in NAMES if one.startswith(name))
        assert Replayed(capture).commands == []


def test_a_wrong_digest_is_rejected():
    for name in ("04", "58"):
        capture = next(one for one in NAMES if one.startswith(name))
        codes = {reply.code for _, reply in Replayed(capture).replies}
        assert codes == {p.ACCESS_REJECT}
