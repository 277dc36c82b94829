"""What an operator sees and does of Diameter: probe, peers, metrics, on the real server."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from aaa.cli.diameter import (
    CC_TIME,
    FINAL_UNIT,
    GRANTED,
    MSCC,
    RESULT_CODE,
    SESSION_ID,
    Call,
    Connection,
    avps_of,
    credit_control,
    first,
    number_of,
)
from aaa.cli.main import run
from tests.support.postgres import free_port
from tests.support.process import Aaad

APPLY = """
[[tariff]]
name = "retail"
currency = "EUR"
timezone = "UTC"
[[tariff.rate]]
prefix = ""
destination = "World"
service = "voice"
price = "0.60"
price_unit = "60s"
pulse = "1/1"
[[account]]
id = "alice"
currency = "EUR"
tariff = "retail"
opening_balance = "1.00"
[[account.subscription]]
type = "e164"
value = "4930123456"
"""


@pytest.fixture
def server(tmp_path: Path):
    ports = free_port(), free_port()
    made = Aaad(
        tmp_path / "n",
        '[diameter]\norigin_host = "ocs.example.org"\norigin_realm = "example.org"\n'
        f'listen = ["tcp:{ports[0]}:interface=127.0.0.1"]\n'
        'contexts = { "calls@example.net" = "voice" }\n'
        f'[metrics]\nlisten = "127.0.0.1:{ports[1]}"\n'
        '[[peer]]\norigin_host = "*"\nrealm = "example.net"\naddress = ["127.0.0.1/32"]\nquantum = "fixed"\n'
        'quantum_fixed = "60s"\nfinal_action = "redirect"\nredirect_to = "http://topup.example.org/"\n',
    )
    made.start()
    made.apply(APPLY)
    made.metrics_port = ports[1]
    yield made
    made.stop()


@pytest.fixture
def aaactl(server, capsys):
    """Run `aaactl` and give its exit code and what it printed."""

    def ran(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(["--socket", server.socket, *arguments])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return ran


@pytest.fixture
def probe(server, aaactl):
    """Place a call; gives the exit code and the steps."""

    def placed(*more: str) -> tuple[int, list[dict]]:
        code, text = aaactl("probe", "diameter", "--port", str(server.ports["diameter"]), "-o", "json", *more)
        return code, json.loads(text)

    return placed


def test_a_probe_places_a_call_that_is_charged(server, probe):
    code, steps = probe(
        "--from", "4930123456", "--to", "442071234567", "--duration", "90", "--context", "calls@example.net"
    )
    assert code == 0
    assert [(step["step"], step["answer"], int(step["granted_s"])) for step in steps] == [
        ("connect", "2001", 0),
        ("initial", "2001", 60),
        ("update", "2001", 40),
        ("end", "2001", 0),
    ]
    assert server.balance("alice")[0] == "0.100000"
    code, steps = probe("--from", "4930999999", "--duration", "90")
    assert (code, steps[-1]["answer"]) == (1, "5030")
    code, steps = probe("--origin-realm", "other.example")
    assert (code, steps[0]["answer"]) == (1, "3010")


def test_a_server_that_does_not_answer_is_named(aaactl):
    code, text = aaactl("probe", "diameter", "--port", str(free_port()))
    assert code == 6
    assert "refused" in text


def test_peers_are_shown_with_their_connections_and_disconnected(server, aaactl):
    connection = Connection(("127.0.0.1", server.ports["diameter"]), "pgw.example.net", "example.net")
    _, text = aaactl("peer", "show", "*", "-o", "json")
    (one,) = json.loads(text)["connections"]
    assert one == {"origin_host": "pgw.example.net", "address": "127.0.0.1", "connections": 1}
    code, text = aaactl("peer", "list", "-o", "json")
    assert (code, [peer["connected"] for peer in json.loads(text)]) == (0, [1])
    assert aaactl("peer", "disconnect", "pgw.example.net", "--yes")[0] == 0
    assert connection._read()[5:8] == (282).to_bytes(3, "big")
    connection.close()
    assert aaactl("peer", "disconnect", "pgw.example.net", "--yes")[0] == 4


def test_messages_are_counted_and_timed(server, probe):
    connection = Connection(("127.0.0.1", server.ports["diameter"]), "pgw.example.net", "example.net")
    probe("--from", "4930123456", "--duration", "10")
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=10) as response:
        text = response.read().decode()
    labels = 'command="Credit-Control",direction="out",peer="probe.example.net",result_code="2001"'
    assert f"aaa_diameter_messages_total{{{labels}}} 2.0" in text
    assert 'aaa_diameter_peer_up{peer="pgw.example.net"} 1.0' in text
    assert 'aaa_diameter_request_duration_seconds_count{command="Credit-Control",request_type="initial"} 1.0' in text
    connection.close()


@pytest.mark.parametrize("payer", ["poor", "purse"])
def test_a_topup_has_the_client_of_an_empty_account_ask_again(server, payer):
    """Its own, or the pool it spends from."""
    poor = APPLY.replace("alice", "poor").replace("4930123456", "4930000001").replace("1.00", "0.00")
    if payer == "purse":
        poor = poor.replace('opening_balance = "0.00"', 'pool = "purse"')
        poor += '[[account]]\nid = "purse"\ncurrency = "EUR"\ntariff = "retail"\n'
    server.apply(poor)
    connection = Connection(("127.0.0.1", server.ports["diameter"]), "pgw.example.net", "example.net")
    call = Call("pgw.example.net;1;1", "example.org", "32260@3gpp.org", "4930000001", "442071234567", 100)
    answer = credit_control(connection, call, 1, 0, None, 60)
    service = avps_of(first(answer, MSCC))
    assert (number_of(answer, RESULT_CODE), first(service, GRANTED)) == (2001, None)
    assert b"http://topup.example.org/" in first(service, FINAL_UNIT)
    server.api("POST", f"/v1/accounts/{payer}/topups", {"amount": "1.00", "idempotency_key": "k1"})
    asked = connection._read()
    assert (asked[4] & 0x80, int.from_bytes(asked[5:8], "big")) == (0x80, 258)
    assert first(avps_of(asked[20:]), SESSION_ID) == b"pgw.example.net;1;1"
    answer = credit_control(connection, call, 2, 1, None, 60)
    assert number_of(avps_of(first(avps_of(first(answer, MSCC)), GRANTED)), CC_TIME) == 60
    credit_control(connection, call, 3, 2, 60, None)
    assert server.balance(payer)[0] == "0.400000"
    assert server.mismatches() == 0
    connection.close()


def test_an_order_to_end_a_session_outlives_the_connection_it_went_over(server):
    """The client's connection breaks before it has answered; its other one gets the request, marked as sent before."""
    place = ("127.0.0.1", server.ports["diameter"])
    first_one, other = (Connection(place, "pgw.example.net", "example.net") for _ in range(2))
    call = Call("pgw.example.net;1;1", "example.org", "32260@3gpp.org", "4930123456", "442071234567", 100)
    credit_control(first_one, call, 1, 0, None, 60)
    (session,) = server.sessions()
    server.api("POST", f"/v1/sessions/{session['id']}/kill")
    asked = first_one._read()
    first_one._sock.close()
    again = other._read()
    assert (asked[4], again[4], int.from_bytes(again[5:8], "big")) == (0xC0, 0xD0, 274)
    assert asked[16:] == again[16:]  # the End-to-End Identifier and all that follows
    other.close()


def test_a_trace_shows_the_messages_of_one_subscriber(server, aaactl, probe):
    """Started and stopped by command; the decoded messages are in the log of the server."""
    code, _ = aaactl("trace", "start", "--subscriber", "4930123456", "--for", "1m")
    probe("--from", "4930123456", "--duration", "10", "--context", "calls@example.net")
    seen = server.log("trace.answer")

    assert 0 == code
    assert "Subscription-Id-Data (444) = '4930123456'" in seen
    assert "Result-Code (268) = 2001" in seen
