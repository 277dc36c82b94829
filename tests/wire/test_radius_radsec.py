"""RadSec on a real loopback connection with certificates made here (RFC 6614, 6613 2.6.4)."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import struct
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor

from aaa import mutual_tls
from aaa.errors import ConfigError
from aaa.radius import packet as p
from aaa.radius import radsec
from aaa.radius.clients import Clients
from aaa.radius.server import RadiusServer, Settings
from tests.radius_kit import (
    KEYS,
    FakeDirectory,
    FakeNode,
    accounting_request,
    digest_people,
    nas,
    read_reply,
    subscriber,
)
from tests.radius_vectors import ONE_NONCE, negatives, octets
from tests.support.radsec import under_radsec

CASES = {case["id"]: case for case in negatives() if case["target"] == "radsec"}
WELL = bytes.fromhex(CASES["neg-rad-187"]["send"][0]["hex"])


class Authority:
    """A certificate authority of a few lines."""

    def __init__(self, directory: Path, name: str):
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._signed(self.key, self.name, [], is_authority=True)
        self.path = directory / f"{name}.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *alternatives) -> tuple[Path, Path]:
        """Return the files of a new certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._signed(key, subject, list(alternatives), is_authority=False)
        files = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return files

    def listener(self) -> str:
        """The `[radius] tls` setting, as the environment has it, of a server with a certificate of this authority."""
        certificate, key = self.issue("server", x509.DNSName("localhost"))
        return f'["ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}:caKey={self.path}"]'

    def _signed(self, key, subject, alternatives, is_authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if alternatives:
            made = made.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return made.sign(self.key, hashes.SHA256())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificates")
    authority, stranger = Authority(directory, "authority"), Authority(directory, "stranger")
    return {
        "authority": authority.path,
        "server": authority.issue("server", x509.DNSName("localhost")),
        "named": authority.issue("named", x509.DNSName("nas1")),
        "addressed": authority.issue("addressed", x509.IPAddress(ipaddress.ip_address("127.0.0.1"))),
        "other": authority.issue("other", x509.DNSName("nas2")),
        "unnamed": authority.issue("unnamed"),
        "foreign": stranger.issue("foreign", x509.DNSName("nas1")),
    }


class Stream:
    """A server with a RadSec listener, and a client connection to it."""

    def __init__(self, certificates, people=(), **settings):
        certificate, key = certificates["server"]
        self.reactor = reactor  # TLS of Twisted flushes by the one that is installed; it is turned by hand
        self.node = FakeNode()
        self.server = RadiusServer(
            self.node,
            FakeDirectory(*(people or (subscriber("bob", "hello"),))),
            Clients([nas(require_message_authenticator="yes", **settings)]),
            KEYS,
            Settings(),
        )
        text = f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}:caKey={certificates['authority']}"
        self.server.start(self.reactor, [], [], [text])
        self.address = dict(self.server.bound_ports)["tls"]
        self.context = ssl.create_default_context(cafile=certificates["authority"])
        self.context.check_hostname = False
        self.socket = None

    def connect(self, files=None) -> None:
        if files:
            self.context.load_cert_chain(*files)
        plain = socket.create_connection(self.address)
        plain.setblocking(False)
        self.socket = self.context.wrap_socket(plain, do_handshake_on_connect=False)
        self._until(self.socket.do_handshake)

    def _until(self, act):
        for _ in range(300):
            try:
                return act()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self.reactor.iterate(0.01)
        raise TimeoutError

    def send(self, data: bytes) -> None:
        self._until(lambda: self.socket.sendall(data))

    def receive(self) -> bytes:
        """One packet, b"" when the connection was closed."""
        try:
            head = self._exactly(4)
            return head + self._exactly(struct.unpack(">H", head[2:])[0] - 4) if head else b""
        except (ConnectionError, ssl.SSLError):
            return b""

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            wanted = size - len(data)
            part = self._until(lambda wanted=wanted: self.socket.recv(wanted))
            if not part:
                return b""
            data += part
        return data

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.server.stop()
        self.reactor.iterate(0.01)


@pytest.fixture
def stream(certificates):
    made = Stream(certificates)
    yield made
    made.close()


@pytest.mark.parametrize("who", ["named", "addressed"])
def test_a_client_whose_certificate_names_it_is_served(stream, certificates, who):
    stream.connect(certificates[who])
    stream.send(WELL)

    assert read_reply(stream.receive(), WELL, b"radsec").code == p.ACCESS_ACCEPT


@pytest.mark.parametrize("who", ["other", "unnamed", "foreign", None])
def test_any_other_certificate_is_shown_the_door(stream, certificates, who):
    try:
        stream.connect(certificates[who] if who else None)
        stream.send(WELL)
    except (ssl.SSLError, ConnectionError):
        pass

    assert stream.receive() == b""
    assert stream.node.submitted == []


def test_one_stream_takes_accounting_as_well(stream, certificates):
    stream.connect(certificates["named"])
    start = accounting_request((40, 1), (44, "s1"), secret=b"radsec")
    stream.send(start)

    assert read_reply(stream.receive(), start, b"radsec").code == p.ACCOUNTING_RESPONSE


def test_a_packet_may_come_octet_by_octet(stream, certificates):
    stream.connect(certificates["named"])
    for octet in WELL:
        stream.send(bytes([octet]))
        stream.reactor.iterate(0)

    assert read_reply(stream.receive(), WELL, b"radsec").code == p.ACCESS_ACCEPT


@pytest.mark.parametrize("name", ONE_NONCE)
def test_a_digest_with_a_nonce_of_its_proxy_is_accepted(certificates, name):
    stream = Stream(certificates, digest_people("zanzibar"), accept_foreign_nonce=True)
    try:
        stream.connect(certificates["named"])
        request = under_radsec(octets(name), b"secret")
        stream.send(request)
        reply = read_reply(stream.receive(), request, b"radsec")
    finally:
        stream.close()

    assert reply.code == p.ACCESS_ACCEPT


def test_a_repeat_is_one_on_its_own_connection_only(stream, certificates):
    """RFC 6613 2.6.1: another connection has Identifiers and cached answers of its own."""
    stream.connect(certificates["named"])
    stream.send(WELL)
    first = stream.receive()
    stream.send(WELL)
    again = stream.receive()
    other = stream.socket
    submitted = len(stream.node.submitted)
    stream.connect()
    stream.send(WELL)
    stream.receive()
    other.close()

    assert (first, submitted) == (again, 1)
    assert len(stream.node.submitted) == 2


@pytest.mark.parametrize("case", ["neg-rad-189", "neg-rad-191"])
def test_what_breaks_the_stream_closes_it(stream, certificates, case):
    stream.connect(certificates["named"])
    stream.send(bytes.fromhex(CASES[case]["send"][0]["hex"]))

    assert stream.receive() == b""


def test_an_unknown_code_is_passed_over(stream, certificates):
    stream.connect(certificates["named"])
    stream.send(bytes.fromhex(CASES["neg-rad-193"]["send"][0]["hex"]))

    assert stream.receive()[0] == p.ACCESS_ACCEPT


def test_an_unwanted_disconnect_request_is_refused_with_its_reason(stream, certificates):
    stream.connect(certificates["named"])
    request = bytes.fromhex(CASES["neg-rad-195"]["send"][0]["hex"])
    stream.send(request)
    reply = read_reply(stream.receive(), request, b"radsec")

    assert (reply.code, reply.number(101)) == (p.DISCONNECT_NAK, 406)


def test_a_malformed_disconnect_request_closes_the_connection_and_is_counted(stream, certificates):
    stream.connect(certificates["named"])
    stream.send(bytes.fromhex("28010019") + bytes(16) + bytes.fromhex("0100626f62"))

    assert stream.receive() == b""
    assert stream.server.counters["dropped", "nas1", "attribute_length"] == 1


class Bug:
    """Something in the way of a packet that raises."""

    def __bool__(self) -> bool:
        raise ZeroDivisionError("a bug")


@pytest.fixture
def told(stream):
    """What a stream tells of exceptions and of dropped packets."""
    errors, drops = [], []
    stream.server.service._on_error = errors.append
    stream.server.service.on_drop = lambda *drop: drops.append(drop)
    return errors, drops


def test_a_packet_that_leads_to_a_bug_is_dropped_and_the_next_one_of_its_connection_served(stream, certificates, told):
    stream.connect(certificates["named"])
    traces = stream.server.service.traces
    people, traces.people = traces.people, Bug()
    stream.send(WELL)
    for _ in range(20):
        stream.reactor.iterate(0.01)
    traces.people = people
    start = accounting_request((40, 1), (44, "s1"), secret=b"radsec")
    stream.send(start)

    assert read_reply(stream.receive(), start, b"radsec").code == p.ACCOUNTING_RESPONSE
    where = "{}:{}".format(*stream.socket.getsockname())
    (error,), drops = told
    assert error.__notes__ == [f"on the RadSec connection of {where}"]
    assert drops == [("internal_error", "nas1", where)]
    assert stream.server.counters["dropped", "nas1", "internal_error"] == 1


def test_a_bug_in_admitting_a_connection_closes_it(stream, certificates, told, monkeypatch):
    monkeypatch.setattr(radsec, "names_client", lambda *_: 1 // 0)
    stream.connect(certificates["named"])
    stream.send(WELL)

    assert stream.receive() == b""
    assert ([type(error) for error in told[0]], stream.node.submitted) == ([ZeroDivisionError], [])
    assert stream.server.counters["dropped", "nas1", "internal_error"] == 1


def test_half_a_packet_and_then_silence_closes(stream, certificates, monkeypatch):
    monkeypatch.setattr(radsec, "READ_TIMEOUT_S", 0.05)
    stream.connect(certificates["named"])
    stream.send(WELL[:30])

    assert stream.receive() == b""


def test_an_answer_for_a_connection_that_is_gone_is_dropped(stream, certificates):
    stream.connect(certificates["named"])
    flush, stream.node.flush = stream.node.flush, lambda: None
    stream.send(WELL)
    for _ in range(5):
        stream.reactor.iterate(0.01)
    stream.socket.close()
    for _ in range(5):
        stream.reactor.iterate(0.01)
    flush()

    assert len(stream.node.submitted) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tcp:2083", "expected ssl:2083"),
        ("ssl:2083:privateKey=/x:certKey=/y", "caKey missing"),
        ("ssl:2083:privateKey=/no/such:certKey=/y:caKey=/z", "No such file"),
    ],
)
def test_a_listener_that_cannot_be_is_refused_with_its_reason(text, reason):
    with pytest.raises(ConfigError, match=reason):
        mutual_tls.endpoint(text, None, "[radius] tls", 2083)
