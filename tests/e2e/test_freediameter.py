"""A real Diameter stack calls the real server: freeDiameter as client, over TLS, and through a DRA that fails over."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from aaa.diameter import codec
from tests.support import freediameter as fd
from tests.support.postgres import Postgres, free_port
from tests.support.process import Aaad
from tests.support.proxy import RecordingProxy
from tests.wire.test_radius_radsec import Authority

pytestmark = pytest.mark.skipif(not fd.is_installed(), reason=fd.REASON)

PAYER = "15551000001"
ACCOUNT = f"""
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
id = "caller"
currency = "EUR"
tariff = "retail"
opening_balance = "1.00"
[[account.subscription]]
type = "e164"
value = "{PAYER}"
"""


def config(host: str, listen: str, peer: str) -> str:
    return (
        f'[diameter]\norigin_host = "{host}"\norigin_realm = "example.org"\nlisten = ["{listen}"]\n'
        f'[[peer]]\nrealm = "example.net"\nquantum = "fixed"\nquantum_fixed = "30s"\n{peer}\n'
    )


def plain(port: int) -> str:
    return f"tcp:{port}:interface=127.0.0.1"


DIRECT = f'origin_host = "{fd.CLIENT}"\naddress = ["127.0.0.1/32"]'
RELAY = f'origin_host = "{fd.DRA}"\naddress = ["127.0.0.1/32"]\nrelay = true'


@pytest.fixture
def running():
    """What is to be stopped when the test is over, whatever came of it."""
    started: list = []
    yield lambda *parts: started.extend(parts)
    for part in reversed(started):
        part.stop()


@pytest.fixture(scope="module")
def credentials(tmp_path_factory):
    directory = tmp_path_factory.mktemp("credentials")
    authority = Authority(directory, "authority")
    names = [x509.DNSName(name) for name in (fd.CLIENT, fd.DRA, "ocs.example.org", "ocs2.example.org")]
    return (*authority.issue(fd.CLIENT, *names), authority.path)


def test_freediameter_places_a_call_and_is_granted_and_charged(tmp_path: Path, credentials, running):
    port = free_port()
    server = Aaad(tmp_path / "ocs", config("ocs.example.org", plain(port), DIRECT))
    server.start()
    client = fd.client(
        tmp_path / "fd", free_port(), ("ocs.example.org", port, False), credentials, start=1, updates=4, interval=0
    )
    running(server, client)
    server.apply(ACCOUNT)
    client.start()
    client.wait(40)
    text = fd.written(tmp_path / "fd")
    assert "RULES VIOLATION" not in text, text
    # 1.00 buys 100 s at 0.01: 30, 30, 30, and a last 10 which freeDiameter ends the call after
    assert [(one.number, one.code, one.granted, one.final) for one in fd.answers(tmp_path / "fd")] == [
        (0, 2001, 30, -1),
        (1, 2001, 30, -1),
        (2, 2001, 30, -1),
        (3, 2001, 10, 0),
        (4, 2001, 0, -1),
    ], text
    assert "final units used" in text
    assert server.balance("caller") == ("0.000000", "0.000000", "0.000000")
    assert server.mismatches() == 0


@pytest.mark.campaign
def test_freediameter_places_a_call_over_tls(tmp_path: Path, credentials, running):
    certificate, key, authority = credentials
    port = free_port()
    listen = f"ssl:{port}:interface=127.0.0.1:privateKey={key}:certKey={certificate}:caKey={authority}"
    peer = f'origin_host = "{fd.CLIENT}"\ntls = true'
    server = Aaad(tmp_path / "ocs", config("ocs.example.org", listen, peer))
    server.start()
    client = fd.client(tmp_path / "fd", free_port(), ("ocs.example.org", port, True), credentials, interval=0)
    running(server, client)
    server.apply(ACCOUNT)
    client.start()
    client.wait(60)
    assert [one.code for one in fd.answers(tmp_path / "fd")] == [2001] * 4, fd.written(tmp_path / "fd")
    assert server.balance("caller")[0] == "0.100000"


@pytest.mark.campaign
def test_a_request_resent_by_a_dra_to_another_node_is_answered_alike_and_charged_once(
    tmp_path: Path, credentials, running
):
    """The first node charges a CCR-U, its answer is lost, and the DRA sends the same to the second, with the T flag."""
    postgres = Postgres()
    running(postgres)
    url = postgres.create("aaa")
    hosts = ("ocs.example.org", "ocs2.example.org")
    nodes, proxies = [], []
    for number, host in enumerate(hosts, 1):
        port = free_port()
        node = Aaad(tmp_path / host, config(host, plain(port), RELAY), url, node=f"node-{number}")
        if nodes:
            (node.directory / "server.key").write_bytes((nodes[0].directory / "server.key").read_bytes())
        running(node)
        node.start()
        nodes.append(node)
        proxies.append(RecordingProxy(port))
        running(proxies[-1])
    nodes[0].apply(ACCOUNT)
    relay_port = free_port()
    relay = fd.dra(
        tmp_path / "dra",
        relay_port,
        [(host, proxy.port, False) for host, proxy in zip(hosts, proxies, strict=True)],
        credentials,
    )
    running(relay)
    relay.start()
    for proxy in proxies:
        proxy.wait_for_answer(257)
    client = fd.client(
        tmp_path / "fd",
        free_port(),
        (fd.DRA, relay_port, False),
        credentials,
        fd.DRA,
        start=4,
        updates=2,
        interval=3,
    )
    running(client)
    client.start()
    fd.wait_for(tmp_path / "fd", 1, 30)
    lost = proxies[0].cut_before_answer(272)
    answered = fd.wait_for(tmp_path / "fd", 2, 30)
    assert [(one.code, one.granted) for one in answered] == [(2001, 30), (2001, 30)]
    resent = next(one for one in proxies[1].requests if one.command == 272)
    assert resent.flags & codec.RETRANSMITTED
    first, second = lost(), proxies[1].wait_for_answer(272)  # charged by the first node, answered by the second
    assert resent.end_to_end == first.end_to_end == second.end_to_end
    ours = (codec.text(264, hosts[0]), codec.text(264, hosts[1]))
    assert [one.encoded().replace(*ours) for one in first.avps if one.key != 284] == [
        one.encoded() for one in second.avps if one.key != 284
    ]
    client.wait(60)
    text = fd.written(tmp_path / "fd")
    assert [one.code for one in fd.answers(tmp_path / "fd")] == [2001] * 4, text
    assert nodes[1].balance("caller") == ("0.100000", "0.000000", "0.100000")  # 30 + 30 + 30 s, each once
    proxied = (tmp_path / "dra" / "fdproxy.out").read_text()
    assert "MISSING" not in proxied
    assert "MISMATCH" not in proxied
    assert nodes[1].mismatches() == 0


@pytest.mark.campaign
def test_requests_of_the_server_reach_a_client_behind_a_dra(tmp_path: Path, credentials, running):
    """A top-up makes the client report (RAR, RAA 2002, CCR-U), a kill makes it end (ASR, ASA, CCR-T)."""
    port, relay_port = free_port(), free_port()
    redirecting = RELAY + '\nfinal_action = "redirect"\nredirect_to = "sip:topup@example.org"'
    server = Aaad(tmp_path / "ocs", config("ocs.example.org", plain(port), redirecting))
    running(server)
    server.start()
    server.apply(ACCOUNT.replace('"1.00"', '"0.30"'))
    relay = fd.dra(tmp_path / "dra", relay_port, [("ocs.example.org", port, False)], credentials)
    running(relay)
    relay.start()
    wanted = {"start": 4, "updates": 5, "interval": 6}
    client = fd.client(tmp_path / "fd", free_port(), (fd.DRA, relay_port, False), credentials, fd.DRA, **wanted)
    running(client)
    client.start()
    fd.wait_for(tmp_path / "fd", 1, 30)
    server.api("POST", "/v1/accounts/caller/topups", {"amount": "5.00", "idempotency_key": "k1"})
    fd.wait_for(tmp_path / "fd", 2, 10)
    assert "got RAR app=4" in fd.written(tmp_path / "fd")
    (session,) = server.sessions()
    server.api("POST", f"/v1/sessions/{session['id']}/kill")
    client.wait(30)
    text = fd.written(tmp_path / "fd")
    assert "got ASR app=4" in text
    assert [one.code for one in fd.answers(tmp_path / "fd")][:2] == [2001, 2001], text
    assert not server.sessions()
    assert server.mismatches() == 0
