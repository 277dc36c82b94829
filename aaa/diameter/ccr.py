"""
Read a Credit-Control-Request: what it asks for, about whom, in which units (RFC 8506 3.1, TS 32.299).

Requests of real clients differ from the grammar; what cannot be misunderstood is taken (DIAMETER.md).
Everything else is refused with the AVP that is wrong.  What a request has in common with others that are
written alike is its `Form`, what is its own stands beside it in `Ccr`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.codec import Avp, Invalid, Message
from aaa.diameter.parties import Named, Parties, Walk, identity, parties
from aaa.diameter.rules import checked, is_unknown
from aaa.diameter.units import Amount, amounts, tariff_change_usage, time_of
from aaa.value import Value

INITIAL = 1
UPDATE = 2
TERMINATION = 3
EVENT = 4
_DIGESTED = frozenset(
    (
        n.CC_REQUEST_TYPE,
        n.REQUESTED_ACTION,
        n.SERVICE_CONTEXT_ID,
        n.SUBSCRIPTION_ID,
        n.SUBSCRIPTION_ID_EXTENSION,
        n.REQUESTED_SERVICE_UNIT,
        n.USED_SERVICE_UNIT,
        n.SERVICE_IDENTIFIER,
        n.RATING_GROUP,
        n.MULTIPLE_SERVICES_CREDIT_CONTROL,
        n.CC_SUB_SESSION_ID,
        n.REFUND_INFORMATION,
    )
)
_KEY_AND_SIZE = struct.Struct(">QI")


class Unit(Value, frozen=True):
    """Units of one kind: the AVP they are written in, their place in `Ccr.units`, and their currency if money."""

    code: int
    place: int
    currency: int = 0


class Ask(Value, frozen=True):
    """
    One service that is asked for or reported on: an MSCC, or the command level.

    `requested` is None when no quota is wanted, empty when the server is to choose; `echo` are the encoded
    Rating-Group and Service-Identifiers; `before` and `after` what of the usage the client places on either
    side of a tariff change.
    """

    rating_group: int | None
    service_ids: tuple[int, ...]
    requested: tuple[Unit, ...] | None
    used: tuple[Unit, ...]
    echo: bytes
    before: tuple[Unit, ...] = ()
    after: tuple[Unit, ...] = ()


@dataclass(slots=True)
class Form:
    """
    What requests that are written alike have in common, whoever sends them; `plans` are how they are charged, by peer
    entry, once that is known.
    """

    context: str
    kind: int
    action: int
    asks: tuple[Ask, ...]
    is_multiple: bool
    sub_session: int | None = None
    refunds: bytes = b""
    direction: str = ""  # in or out, as the tariffs have it; empty when the client does not say
    plans: dict[int, Any] = field(default_factory=dict, compare=False, repr=False)


class Ccr(Value, frozen=True):
    """A request as it was understood; `identities` are (type, value) pairs as sent."""

    form: Form
    data: bytes
    flags: int
    hop_by_hop: int
    end_to_end: int
    origin_host: str  # in lower case
    origin_realm: str
    session_id: str
    number: int
    identities: tuple[tuple[str, str], ...]
    calling: str
    called: str
    event_us: int
    digest: str
    state_id: int  # Origin-State-Id; 0: not told
    units: tuple[int, ...]
    proxies: bytes  # every Proxy-Info, encoded

    @property
    def message(self) -> Message:
        """The request once more, AVP by AVP: for what is answered rarely."""
        return codec.decode(self.data)


def read(data: bytes) -> Ccr:
    """
    Read a CCR that is for us.

    Raises:
        Invalid: The first rule broken, with the AVP that breaks it.
    """
    return Reading(data, codec.decode(data)).ccr


class Reading:
    """
    A request that was read AVP by AVP: `ccr` is what was understood, the rest from where it was taken.

    Raises:
        Invalid: The first rule broken, with the AVP that breaks it.
    """

    def __init__(self, data: bytes, message: Message) -> None:
        self.message = message
        self.first = first = checked(message)
        kind = codec.read_i32(first[n.CC_REQUEST_TYPE])
        if kind == EVENT and n.REQUESTED_ACTION not in first:
            raise codec.missing(n.REQUESTED_ACTION)
        self.walk = Walk(message.avps)
        self.amounts: list[Amount] = []  # by their place in `Ccr.units`
        self.digested: list[Avp] = []
        self.named: list[Named] = []
        asks = self._asks(kind)
        information = first.get(n.SERVICE_INFORMATION)
        self.parties = Parties() if information is None else parties(information, self.walk)
        if not self.named:
            self.named = list(self.parties.identities) or self._user_name()
        form = Form(
            self.walk.text(first[n.SERVICE_CONTEXT_ID]),
            kind,
            codec.read_i32(first[n.REQUESTED_ACTION]) if n.REQUESTED_ACTION in first else -1,
            asks,
            self.is_multiple,
            codec.read_u64(first[n.CC_SUB_SESSION_ID]) if n.CC_SUB_SESSION_ID in first else None,
            first[n.REFUND_INFORMATION].payload if n.REFUND_INFORMATION in first else b"",
            self.parties.direction,
        )
        content = [one.payload for one in self.digested]
        self.ccr = Ccr(
            form,
            data,
            message.flags,
            message.hop_by_hop,
            message.end_to_end,
            self.walk.text(first[n.ORIGIN_HOST]).lower(),
            self.walk.text(first[n.ORIGIN_REALM]),
            self.walk.text(first[n.SESSION_ID]),
            codec.read_u32(first[n.CC_REQUEST_NUMBER]),
            tuple((one.kind, one.value) for one in self.named),
            self.parties.calling,
            self.parties.called,
            time_of(codec.read_u32(first[n.EVENT_TIMESTAMP])) if n.EVENT_TIMESTAMP in first else 0,
            digest_of((self.head(), *content, self.parties.called.encode())),
            codec.read_u32(first[n.ORIGIN_STATE_ID]) if n.ORIGIN_STATE_ID in first else 0,
            tuple(amount.units for amount in self.amounts),
            codec.copied(message, n.PROXY_INFO) if n.PROXY_INFO in first else b"",
        )

    def head(self) -> bytes:
        """Which AVPs of which size the digest is made of: what stands before their content in it."""
        return b"".join([_KEY_AND_SIZE.pack(one.key, len(one.payload)) for one in self.digested])

    def _asks(self, kind: int) -> tuple[Ask, ...]:
        """What is asked for, service by service; who is named on the way is noted."""
        asks: list[Ask] = []
        asking: set[tuple[int | None, tuple[int, ...]]] = set()
        for one in self.message.avps:
            if one.key not in _DIGESTED:
                continue
            self.digested.append(one)
            if one.key == n.MULTIPLE_SERVICES_CREDIT_CONTROL:
                ask = self._ask(self.walk.group(one), one, kind)
                asks.append(ask)
                if ask.requested is None:
                    continue
                key = ask.rating_group, ask.service_ids
                if key in asking:  # quota for one rating key may be asked for once in a request
                    raise Invalid(codec.AVP_OCCURS_TOO_MANY_TIMES, one.encoded())
                asking.add(key)
            elif one.key in (n.SUBSCRIPTION_ID, n.SUBSCRIPTION_ID_EXTENSION):
                self.named.append(identity(one, self.walk))
        self.is_multiple = bool(asks)
        if not self.is_multiple:
            ask = self._ask(self.message.avps, None, kind)
            if kind in (INITIAL, EVENT) or ask.requested is not None or ask.used:
                asks.append(ask)
        return tuple(asks)

    def _ask(self, inner: tuple[Avp, ...], outer: Avp | None, kind: int) -> Ask:
        """What one MSCC, or the command level, asks for."""
        rating_group: int | None = None
        service_ids: list[int] = []
        requested: tuple[Unit, ...] | None = None
        used: list[Unit] = []
        sides: tuple[list[Unit], ...] = ([], [], [])
        echo: list[bytes] = []
        for one in inner:
            key = one.key
            if key == n.RATING_GROUP:
                rating_group = codec.read_u32(one)
                echo.append(codec.u32(n.RATING_GROUP, rating_group))
            elif key == n.SERVICE_IDENTIFIER:
                service_ids.append(codec.read_u32(one))
                echo.append(codec.u32(n.SERVICE_IDENTIFIER, service_ids[-1]))
            elif key == n.REQUESTED_SERVICE_UNIT:
                requested = tuple(self._units(self.walk.group(one)))
            elif key == n.USED_SERVICE_UNIT:
                written = self.walk.group(one)
                found = self._units(written)
                used += found
                sides[tariff_change_usage(written)].extend(found)
            elif outer is not None and is_unknown(one):
                raise Invalid(codec.AVP_UNSUPPORTED, codec.wrapped(outer, one))
        if outer is None and kind in (INITIAL, EVENT) and requested is None:
            requested = ()  # at the command level a first request asks, whether it says so or not (RFC 8506 3.1)
        if kind == TERMINATION:
            requested = None
        before, after, _ = sides
        return Ask(
            rating_group, tuple(service_ids), requested, tuple(used), b"".join(echo), tuple(before), tuple(after)
        )

    def _units(self, inner: Sequence[Avp]) -> list[Unit]:
        """What is meant by the amounts of a group: the last of a kind, and total octets instead of their halves."""
        meant: dict[int, Unit] = {}
        for amount in amounts(inner):
            meant[amount.code] = Unit(amount.code, len(self.amounts), amount.currency)
            self.amounts.append(amount)
        if n.CC_TOTAL_OCTETS in meant:
            meant.pop(n.CC_INPUT_OCTETS, None)
            meant.pop(n.CC_OUTPUT_OCTETS, None)
        return list(meant.values())

    def _user_name(self) -> list[Named]:
        found = self.first.get(n.USER_NAME)
        if found is None or not found.payload:
            return []
        return [Named("nai", found.payload.decode("utf-8", "replace"), found)]


def digest_of(parts: Sequence[bytes]) -> str:
    """What says whether two requests of one number are the same (S7)."""
    return blake2b(b"".join(parts), digest_size=8).hexdigest()
