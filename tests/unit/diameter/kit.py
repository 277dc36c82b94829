"""
A Diameter service on a real node and store, and a client that writes requests by AVP names.
"""

from __future__ import annotations

import struct
from typing import Any

from sqlalchemy import delete, insert, update

from aaa.bus.hub import Hub
from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.ask import Ask
from aaa.diameter.capabilities import Identity
from aaa.diameter.codec import Avp, Message
from aaa.diameter.dictionary import BY_NAME, DEFINITIONS, NUMBERS
from aaa.diameter.peers import Peer, peer_from
from aaa.diameter.service import DiameterService
from aaa.diameter.turns import InOrder
from aaa.engine.answers import Answer
from aaa.engine.commands import Command
from aaa.node.control import NodeControl
from aaa.node.directory import StoreDirectory
from aaa.store import tables
from aaa.store.read import open_reader
from aaa.store.verify import verify_range
from aaa.switches import Switches
from tests.support.stores import Clock, Server, prepared

US = Identity("ocs.prepaid.example", "prepaid.example")
CLIENT = "client.test.example"
ENUMS = {
    "INITIAL_REQUEST": 1, "UPDATE_REQUEST": 2, "TERMINATION_REQUEST": 3, "EVENT_REQUEST": 4,
    "END_USER_E164": 0, "END_USER_IMSI": 1, "DIRECT_DEBITING": 0, "REFUND_ACCOUNT": 1, "CHECK_BALANCE": 2,
    "PRICE_ENQUIRY": 3, "DIAMETER_LOGOUT": 1, "ORIGINATING_ROLE": 0, "AS": 6, "THRESHOLD": 0, "QHT": 1, "FINAL": 2,
    "QUOTA_EXHAUSTED": 3, "FORCED_REAUTHORISATION": 7, "VALIDITY_TIME": 4, "MULTIPLE_SERVICES_SUPPORTED": 1,
    "TERMINATE": 0, "REDIRECT": 1, "RESTRICT_ACCESS": 2, "URL": 2, "SIP_URI": 3, "NOT-APPLICABLE": 0, "YES": 1,
    "UNIT_BEFORE_TARIFF_CHANGE": 0, "UNIT_AFTER_TARIFF_CHANGE": 1, "DIAMETER_ADMINISTRATIVE": 4, "AUTHORIZE_ONLY": 0,
}  # fmt: skip
TARIFF = """[[tariff]]
name = "t"
currency = "EUR"
timezone = "UTC"
rounding = { mode = "up", decimals = 6 }
"""


def rate(service: str, price: str, unit: str, pulse: str = "1/1", group: int | None = None) -> str:
    where = "" if group is None else f"rating_group = {group}\n"
    return (
        f'[[tariff.rate]]\nprefix = ""\ndestination = "All"\nservice = "{service}"\n{where}'
        f'price = "{price}"\nprice_unit = "{unit}"\npulse = "{pulse}"\n'
    )


FLOW_TARIFF = (
    TARIFF
    + rate("voice", "0.10", "60s", "60/60")
    + rate("voice", "0.001", "1s", "1/1", 2)
    + rate("voice", "0", "60s", "60/60", 3)
    + rate("data", "0.01", "1MB", "1/1", 10)
    + rate("message", "0.05", "1")
    + rate("event", "0.02", "1")
)


def avp(name: str, value: Any) -> bytes:
    """One AVP by name; groups as dictionaries or lists of pairs, money as {Unit-Value, Currency-Code}."""
    one = BY_NAME[name]
    code, vendor = one.key & 0xFFFFFFFF, one.key >> 32
    if name == "Unit-Value" and isinstance(value, str):
        whole, _, fraction = value.partition(".")
        value = {"Value-Digits": int(whole + fraction), "Exponent": -len(fraction)}
    if one.kind == "grouped":
        payload = body(value)
    elif one.kind in NUMBERS:
        payload = NUMBERS[one.kind].pack(ENUMS.get(value, value))
    elif isinstance(value, bytes):
        payload = value
    else:
        payload = value.encode()
    return codec.avp(code, payload, 0x40, vendor)


def body(values: Any) -> bytes:
    pairs = values.items() if isinstance(values, dict) else values
    return b"".join(avp(name, one) for name, value in pairs for one in (value if isinstance(value, list) else [value]))


def read(message: Message) -> dict[str, Any]:
    """An answer by AVP names; what comes more than once, and every MSCC, is a list."""
    return _read(message.avps)


def _read(avps: tuple[Avp, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in avps:
        definition = DEFINITIONS[one.key]
        if definition.kind == "grouped":
            value: Any = _read(codec.group(one))
        elif definition.kind in NUMBERS:
            value = NUMBERS[definition.kind].unpack(one.payload)[0]
        else:
            value = one.payload.decode("utf-8", "replace")
        if definition.name == "Multiple-Services-Credit-Control":
            found.setdefault(definition.name, []).append(value)
        else:
            found[definition.name] = value
    return found


class FakeLink:
    """A connection of a client, without octets."""

    def __init__(self, peer: Peer, origin_host: str = CLIENT) -> None:
        self.peer = peer
        self.origin_host = origin_host
        self.asked: list[tuple[int, dict[str, Any]]] = []

    def request(self, ask: Ask) -> bool:
        message = codec.message(0xC0, ask.command, 4, 1, ask.end_to_end, [ask.body])
        self.asked.append((ask.command, read(codec.decode(message))))
        return True


class Ocs:
    """A service on a node on a store in a directory; accounts are named by their number in E.164."""

    def __init__(
        self, directory: Any, balances: dict[str, str], tariff: str = FLOW_TARIFF, contexts: Any = None, **peer
    ):
        self.clock = Clock()
        url = prepared(directory, balances, tariff)
        self.url = url
        self.contexts = {"game@prepaid.example": "event", "content@prepaid.example": "event", **(contexts or {})}
        table = {
            "origin_host": CLIENT,
            "realm": "test.example",
            "address": ["127.0.0.0/8"],
            "allow": ["session", "event", "refund", "money"],
            "quantum": "fixed",
            **peer,
        }
        self.link = FakeLink(peer_from(table, {}))
        self.open()
        self.server.store.provision(_number_the_subscribers)
        self.restart()

    def open(self) -> None:
        self.server = Server(self.url, self.clock)
        directory = StoreDirectory(self.server.store, self.clock, self.server.node.flush)
        self.errors: list[Exception] = []
        self.service = DiameterService(self.server.node, directory, US, self.contexts, self.errors.append)
        self.switches = Switches(self.server.node, Hub(self.errors.append), None, 0, None, self.service.links)
        self._control = NodeControl(
            self.server.node,
            lambda work: work(),
            directory.forget,
            dict,
            self.switches.end,
            self.switches.extend,
        )

    def restart(self) -> None:
        """End the process and start another on the same store."""
        self.server.stop()
        self.open()

    def send_all(self, *requests: bytes, link: FakeLink | None = None) -> list[Message]:
        sent: list[bytes] = []
        order = InOrder(sent.append)
        for data in requests:
            self.service.handle([data], link or self.link, order, self.clock())
        self.service.flush()
        assert not self.errors, self.errors
        assert not self.server.errors, self.server.errors
        return [codec.decode(data) for data in sent]

    def order(self, order: Command, account_id: int | None = None) -> Answer:
        """What the operator orders, as the control API does it."""
        return self._control.submit(order, account_id).result(1)

    def send(self, data: bytes, link: FakeLink | None = None) -> dict[str, Any]:
        (answer,) = self.send_all(data, link=link)
        return read(answer)

    def account(self, name: str) -> dict[str, int]:
        columns = tables.account.c
        with_name = tables.account.select().where(columns.name == name)
        return self.server.store.provision(lambda connection: dict(connection.execute(with_name).mappings().one()))

    def mismatches(self) -> int:
        """What `ledger verify` finds."""
        reader = open_reader(self.url)
        with reader.connect() as connection:
            return len(verify_range(connection, 0, 100).mismatches)

    def available(self, name: str) -> int:
        row = self.account(name)
        return row["balance"] + row["credit_limit"] - row["reserved"]


def _number_the_subscribers(connection: Any) -> None:
    connection.execute(update(tables.subscription).values(type="e164"))


def bar(ocs: Ocs, name: str, status: str) -> None:
    change = update(tables.account).where(tables.account.c.name == name).values(status=status)
    ocs.server.store.provision(lambda connection: connection.execute(change))
    ocs.server.node.forget()


def ccr(
    kind: str,
    number: int,
    *more: tuple[str, Any],
    session: str = f"{CLIENT};1;1",
    context: str = "32260@3gpp.org",
    payer: str = "441632960001",
    flags: int = 0xC0,
    end_to_end: int | None = None,
    origin: str = CLIENT,
    hop_by_hop: int = 7,
) -> bytes:
    """A CCR with what every one has, and more."""
    pairs = [
        ("Session-Id", session),
        ("Origin-Host", origin),
        ("Origin-Realm", "test.example"),
        ("Destination-Realm", "prepaid.example"),
        ("Auth-Application-Id", 4),
        ("Service-Context-Id", context),
        ("CC-Request-Type", kind),
        ("CC-Request-Number", number),
        ("Subscription-Id", {"Subscription-Id-Type": "END_USER_E164", "Subscription-Id-Data": payer}),
        *more,
    ]
    if end_to_end is None:
        end_to_end = struct.unpack(">I", struct.pack(">i", hash((kind, number, session)) % (1 << 31)))[0]
    return codec.message(flags, n.CREDIT_CONTROL, 4, hop_by_hop, end_to_end, [body(pairs)])


__all__ = [
    "CLIENT",
    "FLOW_TARIFF",
    "TARIFF",
    "US",
    "FakeLink",
    "Ocs",
    "avp",
    "bar",
    "ccr",
    "delete",
    "insert",
    "rate",
    "read",
]
