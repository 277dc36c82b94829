"""Every malformed and hostile packet over UDP against a running server: what the standards say, and it lives on."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.radius_vectors import negatives
from tests.support.process import Aaad
from tests.support.wire import access_request

CASES = [case for case in negatives() if case["target"] in ("auth", "acct") and "fault" not in case.get("config", {})]
SILENCE_S = 1.5  # after the last packet; a loaded machine answers within milliseconds all the same
STRANGER = "127.9.9.9"
# What has no single answer in the file: the codes that one datagram after the other may get, None for silence.
IN_TURN: dict[str, list[set[int | None]]] = {
    "neg-rad-009": [{None, 2}],
    "neg-rad-127": [{2, 3, 11}, {3, 11}],  # its nonce is that of 131: of the two, one is the replay
    "neg-rad-131": [{2, 3, 11}],
    "neg-rad-137": [{2, None}, {2}],
    "neg-rad-139": [{2}, {None}, {2}],
    "neg-rad-157": [{5}, {5}, {5}],
    "neg-rad-159": [{5}, {5}],
    "neg-rad-161": [{5}, {5}, {5}],
    "neg-rad-163": [{5}, {5}, {5}],
    "neg-rad-169": [{5}, {5}],
    "neg-rad-171": [{5}, {5}, {5}],
}
PEOPLE = """
[[tariff]]
name = "retail"
currency = "EUR"
[[tariff.rate]]
prefix = ""
price = "0.01"
"""


def people() -> str:
    """Those the file speaks of."""
    text = PEOPLE
    for name, balance, more in (
        ("bob", "10.00", 'password = "hello"'),
        ("hashed", "10.00", 'password_hash = "{SSHA}pNKxYlw5ugS4qLsnwlXQtDvr2W5zYWx0"'),
        ("barred", "10.00", 'password = "hello"'),
        ("broke", "0.00", 'password = "hello"'),
    ):
        status = "suspended" if name == "barred" else "active"
        text += f'[[account]]\nid = "{name}"\ncurrency = "EUR"\ntariff = "retail"\nopening_balance = "{balance}"\n'
        text += f'status = "{status}"\n[[account.subscription]]\ntype = "username"\nvalue = "{name}"\n{more}\n'
    return text


def clients(cases: list[dict[str, Any]]) -> str:
    """One client for each case, at an address of its own, with the switches the case asks for."""
    text = '[[nas]]\nname = "control"\naddress = "127.8.8.8"\nsecret = "testing123"\n'
    text += 'require_message_authenticator = "no"\n'
    for number, case in enumerate(cases):
        config = case.get("config", {})
        settings = {"require_message_authenticator": "no", "limit_proxy_state": "no"}
        settings |= {key: config[key] for key in settings if key in config}
        text += f'[[nas]]\nname = "{case["id"]}"\naddress = "{address_of(number)}"\nsecret = "{case["secret"]}"\n'
        text += "".join(f'{key} = "{value}"\n' for key, value in settings.items())
        text += 'quantum = "fixed"\n'  # the cases share one balance
        text += f"accept_foreign_nonce = {str(config.get('accept_foreign_nonce', False)).lower()}\n"
        if "realms" in config:
            text += f"realms = {config['realms']['127.0.0.1']}\n".replace("'", '"')
    return text


def address_of(number: int) -> str:
    """Where the client of a case sends from."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


class Client:
    """Sends the datagrams of one case and notes what came back after each."""

    def __init__(self, case: dict[str, Any], number: int, server: Aaad) -> None:
        self.case = case
        self.codes: list[int | None] = []
        self._server = ("127.0.0.1", server.ports[case["target"]])
        source = STRANGER if case["send"][0].get("from") == "unknown" else address_of(number)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((source, 0))
        self._socket.setblocking(False)
        self._left = [bytes.fromhex(send["hex"]) for send in case["send"] for _ in range(send.get("repeat", 1))]

    def send(self) -> bool:
        """The next datagram; False when there is none left."""
        if not self._left:
            return False
        self._socket.sendto(self._left.pop(0), self._server)
        return True

    def receive(self) -> None:
        """Note the code of the answer, or the silence, to the last datagram."""
        try:
            self.codes.append(self._socket.recv(5000)[0])
        except BlockingIOError:
            self.codes.append(None)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def server(aaad: Callable[..., Aaad]) -> Aaad:
    server = aaad(clients(CASES))
    server.apply(people())
    return server


def allowed(udp: Any) -> set[int | None]:
    """The codes of the answers that one expectation of the file allows, None for silence."""
    if udp == "discard":
        return {None}
    if "any_of" in udp:
        return set().union(*(allowed(one) for one in udp["any_of"]))
    return {udp["answer"]["code"]}


def test_hostile_packets_get_what_the_standards_say(server: Aaad):
    """All cases side by side, each from a client of its own; then a sound request is still accepted."""
    asked = [Client(case, number, server) for number, case in enumerate(CASES)]
    sending = asked
    while sending := [client for client in sending if client.send()]:
        time.sleep(SILENCE_S)
        for client in sending:
            client.receive()
    wrong = []
    for client in asked:
        client.close()
        udp = client.case["expect"]["udp"]
        turn = IN_TURN.get(client.case["id"]) or [allowed(udp)] * len(client.codes)
        if not all(code in codes for code, codes in zip(client.codes, turn, strict=True)):
            wrong.append((client.case["id"], client.case["title"], client.codes, turn))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        control.bind(("127.8.8.8", 0))
        control.settimeout(5)
        control.sendto(access_request("bob", "hello", "control"), ("127.0.0.1", server.ports["auth"]))
        accepted = control.recv(5000)[0]

    assert not wrong, "\n".join(map(str, wrong))
    assert 2 == accepted
    assert [] == server.api("GET", "/v1/status")["errors"]
    assert 0 == server.mismatches()
