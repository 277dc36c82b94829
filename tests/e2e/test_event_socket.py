"""A call that RADIUS cannot end on FreeSWITCH is ended through its event socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.support.process import Aaad, provisioned

CHANNEL = "5f0a11c2-0000-4000-8000-00000000002a"
NAS = """
[[nas]]
name = "fs"
address = "127.0.0.0/8"
secret = "testing123"
profile = "freeswitch"
require_message_authenticator = "no"
limit_proxy_state = "no"
authorize_without_credentials = true
event_socket = "127.0.0.1:{port}"
event_socket_password = "ClueCon"
"""


class EventSocket(threading.Thread):
    """What FreeSWITCH does at its event socket, for one connection."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.commands: list[str] = []
        self.start()

    def run(self) -> None:
        connection, _ = self.listening.accept()
        with connection, connection.makefile("rw", newline="\n") as stream:
            stream.write("Content-Type: auth/request\n\n")
            stream.flush()
            for reply in (
                "Content-Type: command/reply\nReply-Text: +OK accepted\n\n",
                "Content-Type: api/response\nContent-Length: 4\n\n+OK\n",
            ):
                self.commands.append(stream.readline().strip())
                stream.readline()
                stream.write(reply)
                stream.flush()


@pytest.fixture
def event_socket() -> Iterator[EventSocket]:
    served = EventSocket()
    yield served
    served.listening.close()


def test_a_kill_goes_through_the_event_socket(aaad: Callable[..., Aaad], event_socket: EventSocket):
    """No CoA listener there: the channel is killed by its uuid, and that is counted."""
    server = aaad(NAS.format(port=event_socket.port))
    server.apply(provisioned({"alice": "1.00"}))
    (accept,) = server.radclient(
        "auth",
        f'User-Name="alice"\nUser-Password="alice"\nAcct-Session-Id="{CHANNEL}"\nCalled-Station-Id="4420"'
        '\nCisco-AVPair="request-type=number"',
    )
    (session,) = server.sessions()
    server.api("POST", f"/v1/sessions/{session['id']}/kill")
    event_socket.join(5)

    assert "Access-Accept" == accept["code"]
    assert ["auth ClueCon", f"api uuid_kill {CHANNEL} ALLOTTED_TIMEOUT"] == event_socket.commands
