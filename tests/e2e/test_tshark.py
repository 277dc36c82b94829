"""What the server sends is well-formed to a foreign dissector, whatever the client's dialect."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.capture import Capture
from tests.support.process import Aaad, provisioned
from tests.support.wire import INTERIM, START, STOP, access_request, accounting_request

JUDGE = Path(__file__).parents[1] / "data" / "assert_pcap.sh"
AUTH, ACCT, COA = 1812, 1813, 3799
PROFILES = ("generic", "freeswitch", "freeswitch-stock", "cisco-voip", "kamailio", "hotspot")

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def clients(coa_port: int) -> str:
    """One client of every profile, each known by its own loopback address; the first takes CoA."""
    text = ""
    for number, profile in enumerate(PROFILES, start=1):
        text += (
            f'[[nas]]\nname = "{profile}"\naddress = "127.0.0.{number}"\nsecret = "testing123"\n'
            f'profile = "{profile}"\nrequire_message_authenticator = "no"\nlimit_proxy_state = "no"\n'
            f"authorize_without_credentials = true\n"
        )
        text += f'coa = "127.0.0.1:{coa_port}"\n' if number == 1 else ""
    return text


def judged(capture: Capture, path: Path) -> str:
    capture.write(path)
    done = subprocess.run(["bash", str(JUDGE), str(path)], capture_output=True, text=True, timeout=120, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_no_answer_of_any_profile_is_malformed(aaad: Callable[..., Aaad], tmp_path: Path):
    """Accept, Reject, accounting of a whole call, and the Disconnect-Request of a kill."""
    capture = Capture()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nas:
        nas.bind(("127.0.0.1", 0))
        nas.settimeout(5)
        server = aaad(clients(nas.getsockname()[1]))
        server.apply(provisioned({"alice": "100.00", "poor": "0.00"}))
        answers = 0
        for number, profile in enumerate(PROFILES, start=1):
            for kind, data in (
                ("auth", access_request("alice", "alice", f"s-{profile}", Calling_Station_Id="alice")),
                ("acct", accounting_request(START, f"s-{profile}", User_Name="alice")),
                ("acct", accounting_request(INTERIM, f"s-{profile}", 10, User_Name="alice")),
                ("acct", accounting_request(STOP, f"s-{profile}", 20, User_Name="alice")),
                ("auth", access_request("poor", "poor", f"p-{profile}")),
                ("auth", access_request("nobody", "wrong", f"n-{profile}")),
            ):
                answers += asked(server, f"127.0.0.{number}", kind, data, capture)
        server.ask(access_request("alice", "alice", "killed"))
        (session,) = [each for each in server.sessions() if each["key"].endswith("killed")]
        server.api("POST", f"/v1/sessions/{session['id']}/kill")
        disconnect = nas.recv(4096)
        capture.add(disconnect, AUTH, COA)

    assert answers > 25
    assert 40 == disconnect[0]
    assert f"ok: {answers + 1} packets" in judged(capture, tmp_path / "server.pcap")


def test_the_judge_notices_a_wrong_authenticator(aaad: Callable[..., Aaad], tmp_path: Path):
    """A judge that accepts everything would prove nothing."""
    server = aaad(clients(COA))
    capture = Capture()
    request = access_request("nobody", "wrong", "s")
    answer = server.ask(request)
    assert answer is not None
    capture.add(request, 40_000, AUTH)
    capture.add(answer[:4] + bytes(16) + answer[20:], AUTH, 40_000)

    with pytest.raises(AssertionError, match="MALFORMED"):
        judged(capture, tmp_path / "wrong.pcap")


def asked(server: Aaad, address: str, kind: str, data: bytes, capture: Capture) -> int:
    """Send one request from an address and capture both ways; 1 when it was answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((address, 0))
        client.settimeout(1)
        client.sendto(data, ("127.0.0.1", server.ports[kind]))
        port, ours = client.getsockname()[1], AUTH if kind == "auth" else ACCT
        capture.add(data, port, ours)
        try:
            answer = client.recv(4096)
        except TimeoutError:
            return 0
    capture.add(answer, ours, port)
    return 1
