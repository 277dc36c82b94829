"""A control API over a real node and a real SQLite store, the node on a thread of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fastapi.testclient import TestClient

from aaa.api.app import make_app
from aaa.api.context import ApiContext
from aaa.bus.hub import Hub
from aaa.config import Config, load_config
from aaa.engine.answers import Answer
from aaa.engine.commands import Begin, End, Identity, LineRequest, Total
from aaa.engine.terms import ChargeKey, Policy
from aaa.keys import Keys
from aaa.node.control import NodeControl
from aaa.node.node import ChargingNode
from aaa.node.refusals import Refusals
from aaa.node.tariffs import TariffBook
from aaa.ops.questions import answers
from aaa.ops.traced import Traced
from aaa.outbox.consumers import consumers_of
from aaa.radius.clients import nas_from
from aaa.store import schema
from aaa.store.read import open_reader
from aaa.store.sqlite import SqliteStore

NOW_US = 1_790_000_000_000_000
FILE = """
[[tariff]]
name = "retail"
currency = "EUR"
[[tariff.rate]]
prefix = "44"
destination = "UK"
price = "0.60"
pulse = "1/1"

[[account]]
id = "alice"
currency = "EUR"
tariff = "retail"
opening_balance = "10.00"
[[account.subscription]]
type = "username"
value = "alice"
password = "secret"

[[account]]
id = "bob"
currency = "EUR"
tariff = "retail"

[[nas]]
name = "sbc"
address = "127.0.0.1"
secret = "testing123"
numbers = { country = "44", national = "0" }
"""


class World:
    """A node that tests drive, and the API that operators see."""

    def __init__(self, config: Config, keys: Keys) -> None:
        schema.upgrade(config.store.url)
        self.now_us = NOW_US
        self.store = SqliteStore(config.store.url)
        self.errors: list[Exception] = []
        self.node = ChargingNode(
            self.store, TariffBook(self.store), lambda: self.now_us, 1, on_error=self.errors.append
        )
        self.store.consumers = consumers_of(config.outbox)
        self.node.desk.keeps_before = bool(config.outbox)
        self.reactor = ThreadPoolExecutor(1)
        self.described: dict[str, object] = {"listeners": []}
        self.traced = Traced()
        control = NodeControl(
            self.node,
            self.reactor.submit,
            lambda: None,
            lambda: self.described,
            questions=answers(self.node, Refusals(), self.traced, Hub(self.errors.append)),
        )
        self.context = ApiContext(
            config,
            control,
            keys,
            open_reader(config.store.url),
            lambda: self.now_us,
            "0.1",
            NOW_US,
            check_nas=lambda document: nas_from(document, {}),
            consumers=self.store.consumers,
        )
        self.api = TestClient(make_app(self.context), client=("uid:1000", 1))

    def close(self) -> None:
        self.reactor.shutdown()
        self.context.engine.dispose()
        self.store.close()

    def apply(self, text: str = FILE, **query: object) -> dict:
        answer = self.api.post("/v1/apply", json={"text": text, "file": "a.toml"}, params=query)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    def get(self, path: str, **query: object) -> dict:
        answer = self.api.get(f"/v1/{path}", params=query)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    def do(self, command: object, account: str = "alice") -> Answer:
        number = self.store.account_id(account)
        return self.context.control.submit(command, number).result(5)

    def begin(self, key: str = "call-1", seconds: int = 60, account: str = "alice") -> str:
        """Begin a session with a grant of so many seconds; returns its id."""
        line = LineRequest(ChargeKey(), destination="4420", received="020")
        policy = Policy(quantum="fixed", quantum_fixed=seconds)
        answer = self.do(Begin(key, Identity("begin"), policy, (line,), "sbc", subscriber=account), account)
        return str(answer.session_id)

    def end(self, key: str = "call-1", seconds: int = 30, account: str = "alice") -> Answer:
        self.now_us += seconds * 1_000_000
        line = LineRequest(ChargeKey(), usage=Total(seconds), wants_quota=False)
        return self.do(End(key, Identity("end"), (line,), "sbc", event_us=self.now_us), account)


def make_config(directory: Path, more: str = "") -> Config:
    """A configuration with everything in one directory, and more."""
    Keys.create(directory / "key")
    (directory / "aaa.toml").write_text(
        f'[server]\nnode = "n1"\nkey_file = "{directory}/key"\n[store]\nurl = "sqlite:///{directory}/store.db"\n'
        f'[api]\nsocket = "{directory}/control.sock"\n'
        '[[nas]]\nname = "edge"\naddress = "10.0.0.1"\nsecret = "hush"\n' + more
    )
    return load_config(directory / "aaa.toml")
