"""Diameter over TLS on a real socket: a peer is who its certificate says (S23)."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from twisted.internet import reactor

from aaa.diameter import codec
from aaa.diameter import names as n
from aaa.diameter.listen import endpoint
from aaa.diameter.peers import Peers, peer_from
from aaa.diameter.server import DiameterServer, Settings
from aaa.errors import ConfigError
from tests.radius_kit import KEYS, FakeDirectory, FakeNode
from tests.wire.test_radius_radsec import Authority

DATA = Path(__file__).parents[1] / "data"
BASE = {one["id"]: one for one in json.loads((DATA / "diameter-base.json").read_text())["vectors"]}
CER = bytes.fromhex(BASE["dia-cer"]["hex"])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificates")
    authority, stranger = Authority(directory, "authority"), Authority(directory, "stranger")
    ours = x509.DNSName("client.test.example")
    return {
        "authority": authority.path,
        "server": authority.issue("server", x509.DNSName("ocs.prepaid.example")),
        "named": authority.issue("named", ours),
        "other": authority.issue("other", x509.DNSName("other.test.example")),
        "foreign": stranger.issue("foreign", ours),
    }


@pytest.fixture
def server(certificates):
    certificate, key = certificates["server"]
    peers = Peers([peer_from({"origin_host": "client.test.example", "realm": "test.example", "tls": True}, {})])
    settings = Settings("ocs.prepaid.example", "prepaid.example")
    made = DiameterServer(FakeNode(), FakeDirectory(), peers, KEYS, settings)
    text = f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}:caKey={certificates['authority']}"
    made.start(reactor, [text])
    yield made
    made.stop()
    for connection in list(made.connections):
        connection.transport.abortConnection()
    for _ in range(20):
        reactor.iterate(0.01)


def asked(server: DiameterServer, certificates, who: str | None) -> bytes:
    """Connect with a certificate, send a CER, and return the answer; nothing when the connection was closed."""
    context = ssl.create_default_context(cafile=certificates["authority"])
    context.check_hostname = False
    if who:
        context.load_cert_chain(*certificates[who])
    plain = socket.create_connection(server.bound_ports[0][1])
    plain.setblocking(False)
    stream = context.wrap_socket(plain, do_handshake_on_connect=False)

    def until(act):
        for _ in range(300):
            try:
                return act()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                reactor.iterate(0.01)
        raise TimeoutError

    try:
        until(stream.do_handshake)
        until(lambda: stream.sendall(CER))
        return until(lambda: stream.recv(4096))
    except (ConnectionError, ssl.SSLError):
        return b""
    finally:
        stream.close()


@pytest.mark.parametrize(("who", "result"), [("named", 2001), ("other", 3010)])
def test_the_name_in_the_certificate_decides(server, certificates, who, result):
    answer = codec.decode(asked(server, certificates, who))
    assert codec.read_u32(answer.first(n.RESULT_CODE)) == result


@pytest.mark.parametrize("who", ["foreign", None])
def test_without_a_certificate_of_our_authority_there_is_no_connection(server, certificates, who):
    assert asked(server, certificates, who) == b""


@pytest.mark.parametrize("text", ["ssl:5868", "ssl:x:privateKey=a:certKey=b:caKey=c", "tcp:", "nothing:1"])
def test_a_listener_that_cannot_be_is_named(text):
    with pytest.raises(ConfigError) as caught:
        endpoint(text, reactor)
    assert text in str(caught.value)
