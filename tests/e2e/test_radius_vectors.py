"""Every vector that is a request to the server, over UDP and over RadSec against a running one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from cryptography import x509

from tests.radius_kit import Reply, read_reply
from tests.radius_vectors import ONE_NONCE, PRINTED_WRONG, vectors
from tests.support import radsec
from tests.support.process import Aaad
from tests.wire.test_radius_radsec import Authority

# Requests that a server takes.  The rest has no answer of a server: Accept, Reject, Challenge and Accounting-Response
# are ones, Disconnect- and CoA-Requests and their ACK and NAK are of `aaa.radius.dynauth`, and what RFC 6929 prints are
# single attributes.
REQUESTS: list[dict[str, Any]] = [
    one for one in (*vectors().values(), PRINTED_WRONG) if one["hex"][:2] in ("01", "04", "0c")
]
# What the file leaves open, and where this server chooses otherwise: the code, None for no answer.
CHOSEN: dict[str, int | None] = {
    "rad-2865-7.3-req1": 3,  # a password that is answered with a question is no method here
    "rad-2865-7.3-req2-as-printed": None,
    "rad-cap-wrong-secret": None,
    "rad-cap-pap-with-eap": 3,
    "rad-cap-ipv6-prefixes": 2,
    "rad-long-password-proxy": 2,
    "rad-utf8": 2,
    "rad-embedded-nul": 2,
    "rad-trailing-padding": 2,
    "rad-call-check": 3,  # its number is not trusted
    "rad-mschapv2": 3,  # no method here
    "rad-authorize-only-request": 3,  # its State is not ours
    "rad-fs-auth-app": 2,
}
NOT_ON_A_STREAM = {"rad-trailing-padding": "a stream has no padding: behind the Length begins the next packet"}
ON_A_STREAM = {"rad-5997-6.2-req": 2}  # there is no port for accounting alone
# Replays here; tests/wire/test_radius_udp.py and test_radius_radsec.py give each a server of its own.
REPLAYS = [one["id"] for one in REQUESTS if one["id"] in ONE_NONCE][1:]
ATTRIBUTES = {
    "Reply-Message": 18,
    "State": 24,
    "Message-Authenticator": 80,
    "Digest-Realm": 104,
    "Digest-Nonce": 105,
    "Digest-Response-Auth": 106,
    "Digest-Qop": 110,
    "Digest-Algorithm": 111,
    "Digest-HA1": 121,
    "h323-credit-amount": 9 << 8 | 101,
    "h323-credit-time": 9 << 8 | 102,
    "h323-return-code": 9 << 8 | 103,
}
ACCOUNTING_REQUEST, PROXY_STATE = 4, 33

# -- whom and what the vectors speak of ---------------------------------------------------------------

TARIFF = """
[[tariff]]
name = "retail"
currency = "EUR"
[[tariff.rate]]
prefix = ""
price = "0.10"
price_unit = "60s"
[[tariff.rate]]
prefix = ""
service = "data"
price = "0"
"""
PASSWORDS = {
    "nemo": "arctangent",
    "flopsy": "arctangent",
    "steve": "testing",
    "12345678": "secret",
    "bob": "zanzibar",
    "bob@biloxi.com": "zanzibar",
    "1001": "1234",
    "441632960001": "1234",
    "voucher-7H2K": "7h2k-pw",
    "alice@example.net": "correct horse battery staple, twenty-eight",
    "жук@пример.example": "пароль",
    "al\\\\x00ice": "sec\\u0000ret",
}
# Other passwords of the same names, for which the people are provisioned once more.
OTHERWISE = {"rad-sterman-draft-example": {"12345678": "0000"}, "rad-cap-ipv6-prefixes": {"bob": "hello"}}
SHARING = 'quantum = "fixed"\n'  # one balance for several clients
PROFILES = {
    "rad-voip": 'profile = "cisco-voip"\n',
    "rad-fs-auth-reg": 'profile = "freeswitch"\naccept_foreign_nonce = true\n',
    "rad-fs-auth": (
        'profile = "freeswitch-stock"\naccept_foreign_nonce = true\n'
        "trust_calling_station_id = true\nauthorize_without_credentials = true\n"
    ),
    "rad-fs-start-vsa": 'profile = "freeswitch"\n',
    "rad-fs-stop-vsa": 'profile = "freeswitch"\n',
    "rad-fs": 'profile = "freeswitch-stock"\n',
    "rad-kam": 'profile = "kamailio"\n',
    "rad-hotspot": 'profile = "hotspot"\n',
    "rad-5090-A1": 'realms = ["example.com"]\n',
    "rad-5090-B1": 'realms = ["example.com"]\n',
    "rad-5090": SHARING + "accept_foreign_nonce = true\n",
    "rad-digest": SHARING + "accept_foreign_nonce = true\n",
    "rad-sterman": SHARING + "accept_foreign_nonce = true\n",
}


def people(passwords: dict[str, str]) -> str:
    text = TARIFF
    for number, (name, password) in enumerate(passwords.items()):
        text += _account(f"payer{number}", f'type = "username"\nvalue = "{name}"\npassword = "{password}"')
    return text + _account("caller", 'type = "e164"\nvalue = "1001"')


def _account(name: str, subscription: str) -> str:
    return (
        f'[[account]]\nid = "{name}"\ncurrency = "EUR"\ntariff = "retail"\nopening_balance = "10.00"\n'
        f"[[account.subscription]]\n{subscription}\n"
    )


def clients() -> str:
    """One client for each vector, at an address of its own."""
    text = ""
    for number, one in enumerate(REQUESTS):
        text += f'[[nas]]\nname = "{one["id"]}"\naddress = "{_address(number)}"\nsecret = "{one["secret"]}"\n'
        text += 'require_message_authenticator = "no"\nlimit_proxy_state = "no"\n'
        text += next((more for name, more in PROFILES.items() if one["id"].startswith(name)), SHARING)
    return text


def _address(number: int) -> str:
    return f"127.2.0.{number + 1}"


# -- both transports ----------------------------------------------------------------------------------


class Udp:
    """Asks from the addresses of the clients."""

    secret: bytes | None = None
    left_out: Mapping[str, str] = MappingProxyType({})
    differs: Mapping[str, int] = MappingProxyType({})

    def __init__(self, server: Aaad) -> None:
        self._server = server

    def ask(self, number: int, vector: dict[str, Any]) -> tuple[bytes, bytes | None]:
        """The request of a vector and the answer it got."""
        request = bytes.fromhex(vector["hex"])
        to_accounting = request[0] == ACCOUNTING_REQUEST or "acct port" in vector["direction"]
        kind = "acct" if to_accounting else "auth"
        return request, self._server.ask(request, kind, 1.0, _address(number))


class RadSec:
    """Asks on a connection of its own for each client, with a certificate that names it."""

    secret: bytes | None = radsec.SECRET
    left_out: Mapping[str, str] = NOT_ON_A_STREAM
    differs: Mapping[str, int] = ON_A_STREAM

    def __init__(self, server: Aaad, authority: Authority) -> None:
        self._server = server
        self._authority = authority

    def ask(self, number: int, vector: dict[str, Any]) -> tuple[bytes, bytes | None]:
        """The request of a vector under the secret of RadSec, and the answer; a closed connection is none."""
        request = radsec.under_radsec(bytes.fromhex(vector["hex"]), vector["secret"].encode())
        files = self._authority.issue(vector["id"], x509.DNSName(vector["id"]))
        connection = radsec.Connection(self._server.ports["tls"], _address(number), self._authority.path, files)
        connection.send(request)
        answer = connection.receive()
        connection.close()
        return request, answer or None


@pytest.fixture(params=["udp", "radsec"])
def transport(
    request: pytest.FixtureRequest, aaad: Callable[..., Aaad], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Aaad, Udp | RadSec]]:
    authority = Authority(tmp_path, "authority")
    monkeypatch.setenv("AAA__RADIUS__TLS", authority.listener())
    server = aaad(clients())
    yield server, Udp(server) if request.param == "udp" else RadSec(server, authority)


def _code(vector: dict[str, Any], transport: Udp | RadSec) -> int | None:
    name = vector["id"]
    if name in REPLAYS:
        return 3
    if name in transport.differs:
        return transport.differs[name]
    chosen: int | None = CHOSEN[name] if name in CHOSEN else vector["expect"]["code"]
    return chosen


def _problems(vector: dict[str, Any], reply: Reply, answer: bytes, transport: Udp | RadSec) -> list[str]:
    """What an answer with the right code lacks, or has too much."""
    expect = vector["expect"]
    problems = []
    wanted = expect.get("must_contain", []) + expect.get("should_contain", []) if reply.code in (2, 11) else []
    for one in wanted:
        name, value = one if isinstance(one, list) else (one, None)
        found = reply.get(ATTRIBUTES[name])
        if found is None or (value is not None and found != value.encode()):
            problems.append(f"{name}: {found!r}, expected {value!r}")
    if any(name.startswith("Digest-Response-Auth") for name in expect.get("must_not_contain", ())):
        problems += ["Digest-Response-Auth is there"] if reply.get(ATTRIBUTES["Digest-Response-Auth"]) else []
    if vector["hex"][:2] == "04" and not set(reply.codes) <= {PROXY_STATE}:
        problems.append(f"attributes {reply.codes} in an Accounting-Response")
    if transport.secret is None and expect.get("deterministic_answer", answer.hex()) != answer.hex():
        problems.append(f"octets {answer.hex()}")
    return problems


def _asked(number: int, vector: dict[str, Any], transport: Udp | RadSec) -> list[str]:
    """Ask one vector; returns what is wrong with the answer."""
    request, answer = transport.ask(number, vector)
    reply = read_reply(
        answer, request[: int.from_bytes(request[2:4], "big")], transport.secret or vector["secret"].encode()
    )
    code = reply.code if reply else None
    if code != _code(vector, transport):
        return [f"{vector['id']}: {code}, expected {_code(vector, transport)}"]
    if reply is None or answer is None:
        return []
    return [f"{vector['id']}: {problem}" for problem in _problems(vector, reply, answer, transport)]


def test_vectors_get_their_answers(transport: tuple[Aaad, Udp | RadSec]):
    server, client = transport
    asked = [one for one in enumerate(REQUESTS) if one[1]["id"] not in client.left_out]
    server.apply(people(PASSWORDS))
    wrong = []
    for number, vector in asked:
        if vector["id"] not in OTHERWISE:
            wrong += _asked(number, vector, client)
    for number, vector in asked:
        if vector["id"] in OTHERWISE:
            server.apply(people({**PASSWORDS, **OTHERWISE[vector["id"]]}))
            wrong += _asked(number, vector, client)

    assert not wrong, "\n".join(wrong)
    assert [] == server.api("GET", "/v1/status")["errors"]
    assert 0 == server.mismatches()
