"""
Sessions that came to the end of their money, by the account that pays: whom to ask anew after a top-up.

Only a hint, and bounded: a session that is forgotten asks by itself when its Validity-Time is over.
"""

from __future__ import annotations

from typing import TypeVar

from aaa.engine.answers import Answer, Denial, Grant, LineDenial, LineGrant
from aaa.engine.terms import Reason

REMEMBERED_MAX = 200_000
SESSIONS_MAX = 1_000  # of one account
Value = TypeVar("Value")


def put(entries: dict[str, Value], name: str, value: Value) -> None:
    """Remember something, and forget the oldest beyond the bound."""
    if len(entries) >= REMEMBERED_MAX and name not in entries:
        del entries[next(iter(entries))]
    entries[name] = value


class Waiting:
    """What this process told its clients of the end of money."""

    def __init__(self) -> None:
        self._payers: dict[str, int] = {}  # by session key
        self._ended: dict[int, dict[str, None]] = {}  # by account, the keys of sessions that were told

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
        elif isinstance(decided, Grant) and any(_is_end(line) for line in decided.lines):
            self._note(account_id, key)
            return
        told = self._ended.get(account_id)
        if told is not None:
            told.pop(key, None)
            if not told:
                del self._ended[account_id]

    def _note(self, account_id: int, key: str) -> None:
        keys = self._ended.get(account_id)
        if keys is None:
            if len(self._ended) >= REMEMBERED_MAX:
                del self._ended[next(iter(self._ended))]
            keys = self._ended[account_id] = {}
        if len(keys) < SESSIONS_MAX:
            keys[key] = None

    def take(self, account_id: int) -> list[str]:
        """The sessions of an account that were told; they are to be asked anew now."""
        return [key for key in self._ended.pop(account_id, ()) if key in self._payers]


def _is_end(line: LineGrant | LineDenial) -> bool:
    return line.reason is Reason.NO_CREDIT if isinstance(line, LineDenial) else line.is_final
