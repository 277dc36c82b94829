"""
Sessions that came to the end of their money, by the account that pays: whom to ask anew after a top-up.

Only a hint, and bounded: a session that is forgotten asks by itself when its Validity-Time is over.
"""

from __future__ import annotations

from typing import TypeVar

from aaa.bounded import forget_oldest
from aaa.engine.answers import Answer, Denial, Grant, LineDenial, LineGrant
from aaa.engine.terms import Reason

REMEMBERED_MAX = 200_000
SESSIONS_MAX = 1_000  # of one account
Value = TypeVar("Value")
Groups = frozenset[int | None]


def put(entries: dict[str, Value], name: str, value: Value) -> None:
    """Remember something, and forget the oldest beyond the bound."""
    if len(entries) >= REMEMBERED_MAX and name not in entries:
        forget_oldest(entries)
    entries[name] = value


class Waiting:
    """What this process told its clients of the end of money."""

    def __init__(self) -> None:
        self._payers: dict[str, int] = {}  # by session key
        self._ended: dict[int, dict[str, Groups]] = {}  # by account and session key, the rating groups that ended

    def begun(self, key: str, account_id: int) -> None:
        """A session was asked for, and this account is to pay."""
        put(self._payers, key, account_id)

    def answered(self, key: str, decided: Answer, is_last: bool) -> None:
        """A request of a session was answered; after its last one it waits for nothing."""
        account_id = self._payers.get(key)
        if account_id is None:
            return
        if is_last or isinstance(decided, Denial):
            del self._payers[key]
            self._set(account_id, key, frozenset())
        elif isinstance(decided, Grant):
            sessions = self._ended.get(account_id)
            if sessions is None and not any([_is_end(line) for line in decided.lines]):
                return
            ended = set(sessions.get(key, ())) if sessions is not None else set()
            ended.difference_update([line.key.rating_group for line in decided.lines])
            ended.update([line.key.rating_group for line in decided.lines if _is_end(line)])
            self._set(account_id, key, frozenset(ended))

    def _set(self, account_id: int, key: str, ended: Groups) -> None:
        sessions = self._ended.get(account_id)
        if sessions is None:
            if not ended:
                return
            if len(self._ended) >= REMEMBERED_MAX:
                forget_oldest(self._ended)
            sessions = self._ended[account_id] = {}
        if ended and (key in sessions or len(sessions) < SESSIONS_MAX):
            sessions[key] = ended
        elif not ended:
            sessions.pop(key, None)
            if not sessions:
                del self._ended[account_id]

    def take(self, account_id: int) -> list[tuple[str, Groups]]:
        """The sessions of an account that were told, with what ended; they are to be asked anew now."""
        return [(key, ended) for key, ended in self._ended.pop(account_id, {}).items() if key in self._payers]


def _is_end(line: LineGrant | LineDenial) -> bool:
    return line.reason is Reason.NO_CREDIT if isinstance(line, LineDenial) else line.is_final
