"""
Requests that are written alike, read without looking at their AVPs one by one.

A client writes its requests by a few templates: in the same place the same headers, names and enumerations, and
between them what changes.  A pattern is made of a request that the full reader (`ccr`) has understood.  It knows
which octets decided how that was read - every header of a group that was opened, and the content of every AVP
whose value has a say in it: these must be the same.  The rest are holes: those whose content is the request's own
(its number, its units, who is called), and those that nobody reads.

Theory.  The full reader's way through a message depends on nothing but the octets that must be the same, so
what it would find in another message that has them is in the same holes.  A hole whose content it would refuse
(a text that is none, more units than there can be) makes the pattern step back, and the full reader speaks.
tests/unit/diameter/test_pattern.py compares both on every vector and on mutations of every octet.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Any

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.ccr import Ccr, Form, Reading, digest_of
from aaa.diameter.codec import ERROR, HEADER_SIZE, REQUEST, Avp
from aaa.diameter.dictionary import FIXED_SIZES
from aaa.diameter.units import most_units, time_of
from aaa.value import Value

KEYS_MAX = 1_024
PATTERNS_MAX = 8  # of one key; all of them take 50 MB at most
MISSES_BEFORE = 2  # a template that comes once is not worth a pattern
_KEY = struct.Struct(">I16xQ")
_SHORTEST = HEADER_SIZE + 8
_DECIDING = frozenset(
    (
        n.DESTINATION_HOST,
        n.DESTINATION_REALM,
        n.ROUTE_RECORD,
        n.AUTH_APPLICATION_ID,
        n.SERVICE_CONTEXT_ID,
        n.CC_REQUEST_TYPE,
        n.REQUESTED_ACTION,
        n.MULTIPLE_SERVICES_INDICATOR,
        n.SUBSCRIPTION_ID_TYPE,
        n.RATING_GROUP,
        n.SERVICE_IDENTIFIER,
        n.TARIFF_CHANGE_USAGE,
        n.ROLE_OF_NODE,
    )
)
"""AVPs whose content decides how a request is read or who may send it; the test finds one that is missing here."""
_IRREGULAR = frozenset((n.CC_SUB_SESSION_ID, n.REFUND_INFORMATION, n.CC_MONEY))
"""What comes rarely: requests with these are left to the full reader."""

_RUNS = re.compile(b"\0+|\1+")


class Pattern(Value, frozen=True):
    """
    What requests of one template have in common, and where each has its own.

    The numbers are places among the holes, -1 for what is not there.
    """

    form: Form
    fixed: struct.Struct
    expected: tuple[bytes, ...]
    holes: struct.Struct
    host: int
    realm: int
    session_id: int
    number: int
    event: int
    state: int
    calling: int
    called: int
    named: tuple[tuple[str, int], ...]
    is_named_once: bool
    texts: tuple[int, ...]  # decoded by the full reader, and of no use
    units: tuple[int, int]  # the first, and behind the last
    units_max: int
    digest_head: bytes
    digested: Callable[[bytes], tuple[bytes, ...]]
    proxies: tuple[tuple[bytes, int, int, bytes], ...]

    def read(self, data: bytes) -> Ccr | None:
        """The request, when it is written so; of the length of this pattern."""
        if self.fixed.unpack_from(data) != self.expected:
            return None
        found = self.holes.unpack_from(data)
        flags = found[0]
        first, last = self.units
        units = found[first:last]
        if flags & (REQUEST | ERROR) != REQUEST or (units and max(units) > self.units_max):
            return None
        named, proxies = self.named, self.proxies
        try:
            for place in self.texts:
                found[place].decode()
            return Ccr(
                self.form,
                data,
                flags,
                found[1],
                found[2],
                found[self.host].decode().lower(),
                found[self.realm].decode(),
                found[self.session_id].decode(),
                found[self.number],
                ((named[0][0], found[named[0][1]].decode()),) if self.is_named_once else self._named(found),
                found[self.calling].decode() if self.calling >= 0 else "",
                found[self.called].decode() if self.called >= 0 else "",
                time_of(found[self.event]) if self.event >= 0 else 0,
                digest_of((self.digest_head, *self.digested(data))),
                found[self.state] if self.state >= 0 else 0,
                units,
                b"".join([head + data[at:stop] + pad for head, at, stop, pad in proxies]) if proxies else b"",
            )
        except UnicodeDecodeError:
            return None

    def _named(self, found: tuple[Any, ...]) -> tuple[tuple[str, str], ...]:
        return tuple([(kind, found[place].decode() if place >= 0 else "") for kind, place in self.named])


def pattern_of(data: bytes, reading: Reading) -> Pattern | None:
    """The pattern of a request that was understood and is for us; None when it is too odd for one."""
    ccr, first, walk = reading.ccr, reading.first, reading.walk
    if any(one.key in _IRREGULAR for _, inner in walk.opened for one in inner):
        return None
    roles: dict[int, str] = {4: "B", 12: "I", 16: "I"}  # flags and identifiers of the header
    for key in (n.CC_REQUEST_NUMBER, n.EVENT_TIMESTAMP, n.ORIGIN_STATE_ID):
        if key in first:
            roles[first[key].at] = "I"
    read = [*walk.texts, *(one.source for one in reading.named if one.source is not None)]
    roles.update((one.at, f"{len(one.payload)}s") for one in read if one.key not in _DECIDING)
    roles.update((one.source.at, "IQ"[FIXED_SIZES[one.code] == 8]) for one in reading.amounts)
    order = sorted(roles)
    place = {at: number for number, at in enumerate(order)}
    units = [place[one.source.at] for one in reading.amounts]
    if units and units != list(range(units[0], units[0] + len(units))):
        return None  # something else that is read stands between them
    fixed, expected = _fixed(data, walk.opened, roles)
    called = reading.parties.called_source
    calling = reading.parties.calling_source
    named = tuple((one.kind, _place(one.source, place)) for one in reading.named)
    host, realm, session_id = (place[first[key].at] for key in (n.ORIGIN_HOST, n.ORIGIN_REALM, n.SESSION_ID))
    used = {at for _, at in named} | {_place(calling, place), _place(called, place), host, realm, session_id}
    return Pattern(
        ccr.form,
        fixed,
        expected,
        _holes(order, roles),
        host,
        realm,
        session_id,
        place[first[n.CC_REQUEST_NUMBER].at],
        _place(first.get(n.EVENT_TIMESTAMP), place),
        _place(first.get(n.ORIGIN_STATE_ID), place),
        _place(calling, place),
        _place(called, place),
        named,
        len(named) == 1 and named[0][1] >= 0,
        tuple(place[one.at] for one in walk.texts if one.at in place and place[one.at] not in used),
        (units[0], units[-1] + 1) if units else (0, 0),
        min((most_units(one.code) for one in reading.amounts), default=0),
        reading.head(),
        _slices([*reading.digested, *([called] if called is not None else [])]),
        tuple(_proxy(one) for one in reading.message.every(n.PROXY_INFO)),
    )


def _place(one: Avp | None, place: dict[int, int]) -> int:
    return -1 if one is None else place.get(one.at, -1)


def _fixed(
    data: bytes, opened: list[tuple[Avp | None, tuple[Avp, ...]]], roles: dict[int, str]
) -> tuple[struct.Struct, tuple[bytes, ...]]:
    """The octets that must be the same: everything but holes, what nobody reads, and padding."""
    is_free = bytearray(len(data))
    groups = {outer.at for outer, _ in opened if outer is not None}
    for _, inner in opened:
        for one in inner:
            stop = one.at + len(one.payload)
            begin = stop if one.key in _DECIDING or one.at in groups else one.at
            is_free[begin : stop + 3 & -4] = b"\1" * ((stop + 3 & -4) - begin)
    for at, kind in roles.items():
        size = struct.calcsize(">" + kind)
        is_free[at : at + size] = b"\1" * size
    layout, expected = ">", []
    for run in _RUNS.finditer(is_free, 0, len(data)):
        size = run.end() - run.start()
        layout += f"{size}x" if is_free[run.start()] else f"{size}s"
        if not is_free[run.start()]:
            expected.append(data[run.start() : run.end()])
    return struct.Struct(layout), tuple(expected)


def _holes(order: list[int], roles: dict[int, str]) -> struct.Struct:
    """What takes the holes out of a message."""
    layout, end = ">", 0
    for at in order:
        layout += f"{at - end}x{roles[at]}"
        end = at + struct.calcsize(">" + roles[at])
    return struct.Struct(layout)


def _slices(taken: list[Avp]) -> Callable[[bytes], Any]:
    """What takes the content of AVPs out of a message; there are two at least."""
    return _taking(tuple((one.at, one.at + len(one.payload)) for one in taken))


@lru_cache(maxsize=4096)
def _taking(places: tuple[tuple[int, int], ...]) -> Callable[[bytes], Any]:
    return itemgetter(*(slice(*place) for place in places))


def _proxy(one: Avp) -> tuple[bytes, int, int, bytes]:
    """What stands around a Proxy-Info in an answer, and where it is in the request."""
    size = len(one.payload)
    encoded = codec.avp(n.PROXY_INFO, one.payload)
    return encoded[:8], one.at, one.at + size, encoded[8 + size :]


class Patterns:
    """
    The patterns of a server's clients; bounded.

    They are found by the length of a request and that of its Session-Id.  Who sends it is a hole as others are, so
    that what one client of a make has taught serves all of them.  A bad key costs tries, never truth.

    What is read by a pattern was checked by whoever called `learn`: the octets that decided are the same.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[int, int], list[Pattern]] = {}
        self._missed: dict[tuple[int, int], int] = {}

    def read(self, data: bytes) -> Ccr | None:
        """A request that is written like one that was learnt, as the full reader would read it, or None."""
        found = self._found.get(_KEY.unpack_from(data)) if len(data) >= _SHORTEST else None
        if found is None:
            return None
        for place, pattern in enumerate(found):
            ccr = pattern.read(data)
            if ccr is not None:
                if place:
                    found[place], found[place - 1] = found[place - 1], pattern
                return ccr
        return None

    def learn(self, data: bytes, reading: Reading) -> None:
        """Note a request that was read in full; when its like has come before, it gets a pattern."""
        key = _KEY.unpack_from(data)
        missed = self._missed.get(key, 0) + 1
        found = self._found.get(key)
        if missed < MISSES_BEFORE << (len(found) if found else 0):  # what is never written alike is not learnt for ever
            if len(self._missed) >= KEYS_MAX:
                self._missed.clear()
            self._missed[key] = missed
            return
        self._missed.pop(key, None)
        pattern = pattern_of(data, reading)
        if pattern is None:
            return
        if found is None:
            if len(self._found) >= KEYS_MAX:
                del self._found[next(iter(self._found))]
            found = self._found[key] = []
        del found[PATTERNS_MAX - 1 :]
        found.append(pattern)
