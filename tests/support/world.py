"""
A world of one engine: accounts and sessions in dicts, decisions applied as a node would, laws checked.
"""

from __future__ import annotations

from aaa.engine.answers import Ack, Answer, Denial, Grant, LineDenial, LineGrant
from aaa.engine.changes import Entry, Notice, UnitEntry
from aaa.engine.commands import Begin, Command, Delta, End, Event, Expire, Identity, Kill, LineRequest, Total, Update
from aaa.engine.decide import decide
from aaa.engine.model import Account, Profile, Session
from aaa.engine.pool import joined, parted
from aaa.engine.terms import LIVE, SECOND_US, ChargeKey, Limits, Policy
from aaa.value import replace
from rating import parse_money
from tests.support.tariffs import Book, flat

EPOCH_US = 1_800_000_000 * SECOND_US
VOICE = ChargeKey()


class World:
    """
    Drives `decide` with simulated time and applies what it moves.

    After every command the laws that can be checked on sums are checked: L1 (a grant never takes
    available below zero), L6 (balance, reserved and live sessions are the sums they claim to be).
    """

    def __init__(self, tariff: str | None = None) -> None:
        self.book = Book()
        self.book.activate("t", tariff or flat("0.10"))
        self.accounts: dict[str, Account] = {}
        self.pools: dict[str, str] = {}  # of members
        self.sessions: dict[int, Session] = {}
        self.names: dict[str, int] = {}
        self.entries: list[Entry] = []
        self.notices: list[Notice] = []
        self.early: dict[str, int] = {}
        self.initial: dict[int, int] = {}
        self.units: list[UnitEntry] = []
        self.settled: dict[int, Session] = {}
        self.now = EPOCH_US
        self._next = 1

    def at(self, seconds: float) -> None:
        """Go to an instant, in seconds since the beginning."""
        self.now = EPOCH_US + round(seconds * SECOND_US)

    def add_account(self, name: str, balance: str = "0", credit_limit: str | None = "0", **limits: object) -> Account:
        status = limits.pop("status", "active")
        buckets = limits.pop("buckets", ())
        profile = Profile(
            len(self.accounts) + 1,
            name,
            "EUR",
            "t",
            str(status),
            None if credit_limit is None else parse_money(credit_limit),
            limits=Limits(**limits),  # type: ignore[arg-type]
        )
        amount = parse_money(balance)
        account = Account(profile, amount, entry_no=1, buckets=tuple(buckets))  # type: ignore[arg-type]
        self.initial.update({bucket.id: bucket.amount for bucket in account.buckets})
        self.entries.append(Entry(profile.id, 1, amount, amount, "opening", "test", self.now))
        self.accounts[name] = account
        return account

    def add_member(self, name: str, pool: str, **limits: object) -> Account:
        """An account that spends from a pool."""
        status = str(limits.pop("status", "active"))
        number, pool_id = len(self.accounts) + 1, self.accounts[pool].profile.id
        profile = Profile(number, name, "EUR", "t", status, limits=Limits(**limits), pool_id=pool_id)  # type: ignore[arg-type]
        self.accounts[name] = Account(profile)
        self.pools[name] = pool
        return self.accounts[name]

    def run(self, command: Command, account: str | None = None) -> Answer:
        """Decide a command, apply it, check the laws."""
        names = [getattr(command, "key", ""), *getattr(command, "aliases", ())]
        if isinstance(command, Event) and command.refunds:
            names = [command.refunds]
        session = next((self.sessions[self.names[name]] for name in names if name in self.names), None)
        payer = self.owner(session) if session is not None else account
        accounts = (self.accounts[payer],) if payer is not None else ()
        pool = self.accounts[self.pools[payer]] if payer in self.pools else None
        if pool is not None:
            accounts = (joined(accounts[0], pool),)
        if isinstance(command, Begin) and session is None:
            started = [self.early.pop(name) for name in names if name in self.early]
            command = replace(command, early_start_us=started[0]) if started else command
        before = accounts[0].available_micro if accounts else None
        changes, answer = decide(accounts, session, command, self.book, self.now, self._next)
        if pool is not None and payer is not None and changes.accounts:
            own, payers, entries = parted(self.accounts[payer], pool, changes.accounts[0], changes.entries)
            changes = replace(changes, accounts=(own, payers), entries=entries)
        for changed in changes.accounts:
            self.accounts[changed.profile.name] = changed
        if changes.session is not None:
            self._next += changes.is_new
            number = changes.session.head.id
            self.sessions[number] = changes.session
            for name in (changes.session.head.key, *changes.session.aliases):
                self.names[name] = number
            if changes.settles:
                self.settled[number] = changes.session
        if changes.early_start is not None:
            self.early.update(dict.fromkeys(changes.early_start.keys, changes.early_start.started_us))
        self.entries.extend(changes.entries)
        self.units.extend(changes.units)
        self.notices.extend(changes.notices)
        self.check()
        after = accounts and self.accounts[self.pools.get(payer or "", payer or "")].available_micro
        if isinstance(answer, Grant) and before is not None and after is not None and not changes.entries:
            spent = [notice for notice in changes.notices if notice.kind == "overspend"]
            assert after >= min(before, 0) or spent, "a grant took available below zero"
        return answer

    def check(self) -> None:
        """L6: every sum is what it claims to be."""
        for account in self.accounts.values():
            theirs = {a.profile.id for a in self.accounts.values() if a.profile.pool_id == account.profile.id}
            mine = [s for s in self.sessions.values() if s.head.account_id in {account.profile.id, *theirs}]
            live = [s for s in mine if s.state in LIVE]
            entries = [e for e in self.entries if e.account_id == account.profile.id]
            assert account.balance_micro == sum(entry.amount_micro for entry in entries)
            assert [entry.entry_no for entry in entries] == list(range(1, len(entries) + 1))
            assert account.reserved_micro == sum(s.reserved_micro for s in live)
            assert account.accrued_micro == sum(s.accrued_micro for s in live)
            assert account.live_sessions == len(live)
            for line in (line for s in live for line in s.lines):
                assert line.reserved_micro >= line.accrued_micro
            for bucket in account.buckets:
                taken = [entry.units for entry in self.units if entry.bucket_id == bucket.id]
                assert bucket.amount == self.initial[bucket.id] + sum(taken)
                parts = [part for s in live for line in s.lines for part in line.parts]
                settled = [part for s in live for line in s.lines for part in line.posted_parts]
                held = sum(n for source, n in parts if source == str(bucket.id))
                assert bucket.reserved == held - sum(n for source, n in settled if source == str(bucket.id))
                assert 0 <= bucket.reserved <= bucket.amount

    def owner(self, session: Session) -> str:
        return next(a.profile.name for a in self.accounts.values() if a.profile.id == session.head.account_id)

    # -- requests as a RADIUS client makes them ---------------------------------------------------

    def access(
        self,
        account: str,
        sid: str,
        used: int | None = None,
        to: str = "441632960001",
        policy: Policy | None = None,
        token: str | None = None,
        **more: object,
    ) -> Answer:
        """An Access-Request for a call."""
        number = "b" if used is None else f"t{used}"
        digest = (token or f"{self.now}") if used is None else ""
        request = LineRequest(VOICE, None if used is None else Total(used), destination=to, received=to)
        begin = Begin(
            sid,
            Identity(number, digest),
            policy or Policy(),
            (request,),
            "nas",
            subscriber=account,
            **more,  # type: ignore[arg-type]
        )
        return self.run(begin, account)

    def start(self, sid: str, **more: object) -> Answer:
        return self.run(Update(sid, Identity("s"), origin="nas", is_start=True, **more))  # type: ignore[arg-type]

    def interim(self, sid: str, used: int, wants: bool = False, **more: object) -> Answer:
        lines = (LineRequest(VOICE, Total(used), wants),)
        return self.run(Update(sid, Identity(f"i{used}"), lines, "nas", **more))  # type: ignore[arg-type]

    def stop(self, sid: str, used: int | None, **more: object) -> Answer:
        usage = None if used is None else Total(used)
        lines = (LineRequest(VOICE, usage, False),)
        return self.run(End(sid, Identity(f"e{used}"), lines, "nas", **more))  # type: ignore[arg-type]

    def expire(self, sid: str) -> Answer:
        return self.run(Expire(sid))

    def kill(self, sid: str) -> Answer:
        return self.run(Kill(sid))

    # -- requests as a Diameter peer makes them ---------------------------------------------------

    def ccr(
        self,
        kind: type[Begin] | type[Update] | type[End],
        number: int,
        *lines: LineRequest,
        sid: str = "ccr",
        account: str = "alice",
        policy: Policy | None = None,
        digest: str = "",
    ) -> Answer:
        """A CCR-I, CCR-U or CCR-T with the given lines."""
        identity = Identity(str(number), digest, number)
        if kind is Begin:
            chosen = policy or Policy("fixed", tells_validity=True)
            return self.run(Begin(sid, identity, chosen, lines, "peer", protocol="diameter"), account)
        return self.run(kind(sid, identity, lines, "peer"))

    # -- looking ----------------------------------------------------------------------------------

    def session(self, sid: str) -> Session:
        return self.sessions[self.names[sid]]

    def available(self, account: str) -> int | None:
        return self.accounts[account].available_micro

    def balance(self, account: str) -> int:
        return self.accounts[account].balance_micro

    def count(self, kind: str) -> int:
        return sum(notice.amount for notice in self.notices if notice.kind == kind)


def told(answer: Answer, line: int = 0) -> int:
    """The units a grant told for a line; 0 for any refusal."""
    if not isinstance(answer, Grant):
        return 0
    given = answer.lines[line]
    return given.told if isinstance(given, LineGrant) else 0


def micro(text: str) -> int:
    return parse_money(text)


__all__ = ["VOICE", "Ack", "Delta", "Denial", "Grant", "LineDenial", "LineGrant", "World", "micro", "told"]
