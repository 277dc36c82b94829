"""
What a node remembers of the store: accounts with their versions, sessions by id and by name.

Nothing here is an authority.  Any entry may be dropped at any time and is loaded again; a failed commit
drops all it touched before anything else is decided.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from aaa.engine.model import Account, Session
from aaa.engine.terms import LIVE

TRIM_LOOK = 64
DOUBTS = 4  # unmoved reads after which an account is trusted again
DOUBTED_MAX = 100_000


class Cached:
    """An account as staged, the version its row has, and which of its sessions are cached."""

    __slots__ = ("account", "sessions", "version")

    def __init__(self, account: Account, version: int) -> None:
        self.account = account
        self.version = version
        self.sessions: set[int] = set()


class Cache:
    """
    Bounded maps of accounts and sessions.

    Args:
        accounts_max: Accounts kept; beyond it those without cached live sessions go first, oldest first.
        closed_max: Ended sessions kept, so that a late repeat is answered without the store.  Few, so that they stay
            in the processor's cache: with 50,000 all that a busy node does costs a tenth more.
    """

    def __init__(self, accounts_max: int = 200_000, closed_max: int = 4_096) -> None:
        self.accounts: dict[int, Cached] = {}
        self.sessions: dict[int, Session] = {}
        self.live: set[int] = set()  # those of them that are held or open
        self.names: dict[str, int] = {}
        self._doubts: dict[int, int] = {}  # accounts that other nodes move too: how often to read before trusting
        self._members: dict[int, set[int]] = {}  # cached accounts by the pool they spend from
        self._closed: deque[int] = deque()
        self._accounts_max = accounts_max
        self._closed_max = closed_max

    def find(self, names: Iterable[str]) -> Session | None:
        """The session that the first known of these names stands for."""
        known = self.names
        for name in names:
            number = int(name[1:]) if name[0] == "#" and name[1:].isdigit() else known.get(name)
            if number is not None:
                session = self.sessions.get(number)
                if session is not None:
                    return session
        return None

    def put_account(self, account: Account, version: int) -> Cached:
        """Remember an account that was loaded."""
        profile = account.profile
        cached = self.accounts[profile.id] = Cached(account, version)
        if profile.pool_id is not None:
            self._members.setdefault(profile.pool_id, set()).add(profile.id)
        return cached

    def has(self, account_id: int | None) -> bool:
        """Whether an account can be decided on: it is cached, and its pool too where it has one."""
        cached = self.accounts.get(account_id) if account_id is not None else None
        if cached is None:
            return False
        pool_id = cached.account.profile.pool_id
        return pool_id is None or pool_id in self.accounts

    def members(self, pool_id: int) -> tuple[int, ...]:
        """The cached accounts that spend from a pool."""
        return tuple(self._members.get(pool_id, ()))

    def learn(self, account: Account, version: int, sessions: Iterable[Session]) -> None:
        """Remember an account, and some of its sessions, as they were decided on outside this cache."""
        cached = self.accounts.get(account.profile.id)
        if cached is not None and cached.account.profile.pool_id == account.profile.pool_id:
            cached.account, cached.version = account, version
        else:
            self.drop_account(account.profile.id)
            self.put_account(account, version)
        for session in sessions:
            self.put_session(session)

    def doubt(self, account_id: int) -> None:
        """Another node moved this account: what is cached of it is likely to be stale again soon."""
        if len(self._doubts) >= DOUBTED_MAX:
            self._doubts.clear()
        self._doubts[account_id] = DOUBTS

    def is_doubted(self, account_id: int | None) -> bool:
        """Whether an account is better read before it is decided on."""
        return account_id in self._doubts

    def confirm(self, account_id: int) -> None:
        """A read found the account as it was cached."""
        left = self._doubts.pop(account_id, 1) - 1
        if left:
            self._doubts[account_id] = left

    def put_session(self, session: Session) -> None:
        """Remember the latest value of a session under all its names."""
        head = session.head
        number = head.id
        before = self.sessions.get(number)
        self.sessions[number] = session
        if before is None:
            self.names[head.key] = number
            cached = self.accounts.get(head.account_id)
            if cached is not None:
                cached.sessions.add(number)
        if before is None or before.aliases is not session.aliases:
            for alias in session.aliases:
                self.names[alias] = number
        is_live = session.state in LIVE
        if before is None or (before.state in LIVE) is not is_live:
            if is_live:
                self.live.add(number)
                return
            self.live.discard(number)
            self._closed.append(number)
            if len(self._closed) > self._closed_max:
                self._forget_closed()

    def drop_account(self, account_id: int) -> None:
        """Forget an account and all its cached sessions."""
        cached = self.accounts.pop(account_id, None)
        if cached is not None:
            pool_id = cached.account.profile.pool_id
            if pool_id is not None:
                self._forget_member(pool_id, account_id)
            for number in cached.sessions:
                self._drop_session(number)

    def trim(self) -> None:
        """
        Forget the oldest accounts beyond the bound, those without live sessions first.

        Only to be called when nothing is staged: a staged account that is dropped would be loaded again
        without what is about to be committed.
        """
        while len(self.accounts) > self._accounts_max:
            oldest = list(islice(self.accounts, TRIM_LOOK))
            idle = [number for number in oldest if not self.accounts[number].account.live_sessions]
            for number in idle or oldest[:1]:
                self.drop_account(number)

    def clear(self) -> None:
        """Forget everything."""
        self.accounts.clear()
        self.sessions.clear()
        self.live.clear()
        self.names.clear()
        self._closed.clear()
        self._doubts.clear()
        self._members.clear()

    def _forget_member(self, pool_id: int, account_id: int) -> None:
        members = self._members.get(pool_id)
        if members is not None:
            members.discard(account_id)
            if not members:
                del self._members[pool_id]

    def _drop_session(self, number: int) -> None:
        session = self.sessions.pop(number, None)
        if session is None:
            return
        self.live.discard(number)
        for name in (session.head.key, *session.aliases):
            if self.names.get(name) == number:
                del self.names[name]

    def _forget_closed(self) -> None:
        number = self._closed.popleft()
        session = self.sessions.get(number)
        if session is None or session.state in LIVE:
            return
        cached = self.accounts.get(session.head.account_id)
        if cached is not None:
            cached.sessions.discard(number)
        self._drop_session(number)
