"""Requests whose payer must first be read from the store: what comes for their session waits, others do not."""

from __future__ import annotations

from aaa.diameter import codec
from aaa.diameter.peers import peer_from
from aaa.diameter.service import DiameterService
from aaa.diameter.turns import InOrder
from aaa.engine.commands import Begin, End, Update
from aaa.engine.ports import Subscriber
from bench.diameter import AtOnce, ccr
from tests.unit.diameter.kit import US, FakeLink

KINDS = {Begin: "begin", Update: "update", End: "end"}
HOST = "load0.example.net"


class Late(AtOnce):
    """A node that notes what it is asked, and a directory that answers when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = []
        self.sought = []
        self.settled = []
        self.settles_late = False

    def submit(self, command, account_id, reply) -> None:
        self.asked.append((KINDS[type(command)], command.key.split(";")[-1], account_id))
        super().submit(command, account_id, reply)

    def restart_peer(self, identity, state_id, known) -> None:
        if self.settles_late:
            self.settled.append(known)
        else:
            known()

    def find(self, identities, found) -> None:
        self.sought.append(found)

    def know(self) -> None:
        self.sought.pop(0)(Subscriber(7, "a", "e164", "1", {}))
        self.flush()


def started():
    node, sent = Late(), []
    service = DiameterService(node, node, US._replace(origin_host="ocs.example.org", origin_realm="example.org"))
    peer = peer_from({"origin_host": HOST, "realm": "example.net", "address": ["127.0.0.0/8"]}, {})
    link, order = FakeLink(peer, HOST), InOrder(sent.append)

    def send(*requests: bytes) -> None:
        for data in requests:
            service.handle([data], link, order, node.now_us())
        service.flush()

    return node, service, send, sent


def numbers(sent: list[bytes]) -> list[int]:
    return [codec.decode(data).hop_by_hop for data in sent]


def test_a_report_right_behind_the_first_request_waits_for_it():
    node, service, send, sent = started()
    send(ccr(1, 1, 0), ccr(1, 2, 1), ccr(2, 2, 1))
    assert node.asked == [("update", "100002", None)]
    assert sent == []  # the order of the connection is kept
    node.know()
    assert node.asked[1:] == [("begin", "100001", 7), ("update", "100001", None)]
    assert numbers(sent) == [8, 9, 17]
    assert not service._behind


def test_what_a_client_in_a_new_state_asks_waits_until_its_older_sessions_are_settled():
    node, service, send, sent = started()
    node.settles_late = True
    service.in_state(HOST, 100)
    send(ccr(1, 1, 0), ccr(1, 2, 1))  # these tell another state
    assert len(node.settled) == 2
    node.settled.pop()()
    assert (node.asked, node.sought, sent) == ([], [], [])
    node.settled.pop()()
    node.know()
    assert [kind for kind, _, _ in node.asked] == ["begin", "update"]
    assert numbers(sent) == [8, 9]
    assert not service._held and not service._settling


def test_a_client_that_waits_holds_up_no_other():
    node, service, send, sent = started()
    send(ccr(1, 2, 1))
    node.settles_late = True
    service.in_state("other.example.net", 100)
    send(ccr(1, 2, 1))
    assert [kind for kind, _, _ in node.asked] == ["update"] * 2
    assert len(sent) == 2


def test_what_waits_behind_another_look_up_waits_on():
    node, service, send, sent = started()
    send(ccr(1, 1, 0), ccr(1, 1, 0), ccr(1, 3, 1))
    node.know()
    assert [kind for kind, _, _ in node.asked] == ["begin"]
    node.know()
    assert [kind for kind, _, _ in node.asked] == ["begin", "begin", "end"]
    assert len(sent) == 3
    assert not service._behind
