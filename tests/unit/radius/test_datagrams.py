"""One bound UDP socket: what is drained, and how gathered answers leave it."""

from __future__ import annotations

import errno
import socket

import pytest

from aaa.radius import checks, udp
from aaa.radius.datagrams import SEGMENTS_MAX, Captures, UdpPort


def unseen() -> bool:
    return False


class Ends:
    """A port and a client that has asked it once."""

    def __init__(self, listen: str, asked: str):
        made = udp.bound(listen, 1 << 20, False)
        self.woken = []
        self.port = UdpPort(0, checks.ACCT, made, udp.is_wildcard(made), lambda: self.woken.append(1), unseen)
        self.client = socket.socket(made.family, socket.SOCK_DGRAM)
        self.client.settimeout(2)
        self.client.connect((asked, made.getsockname()[1]))  # takes nothing from another address
        self.client.send(b"question")
        ((self.data, self.address),) = self.port.receive(10)

    def answers(self, count: int) -> list[bytes]:
        found = [self.client.recv(5000) for _ in range(count)]
        self.client.setblocking(False)
        with pytest.raises(BlockingIOError):
            self.client.recv(5000)
        return found

    def close(self):
        self.port.socket.close()
        self.client.close()


@pytest.fixture(params=[("127.0.0.1:0", "127.0.0.1"), ("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")])
def ends(request):
    made = Ends(*request.param)
    yield made
    made.close()


def test_answers_wait_until_they_are_sent_and_are_announced_once(ends):
    ends.port.send(b"one", ends.address)
    ends.port.send(b"two", ends.address)
    ends.client.setblocking(False)

    with pytest.raises(BlockingIOError):
        ends.client.recv(5000)
    assert ends.woken == [1]


@pytest.mark.parametrize("count", [1, 2, SEGMENTS_MAX, SEGMENTS_MAX + 1, 3 * SEGMENTS_MAX])
def test_every_answer_is_a_datagram_of_its_own(ends, count):
    sent = [number.to_bytes(20, "big") for number in range(count)]
    for data in sent:
        ends.port.send(data, ends.address)
    ends.port.send_gathered()

    assert ends.answers(count) == sent
    assert ends.port.sends_groups
    assert ends.port.lost == 0


def test_answers_of_other_sizes_stay_whole(ends):
    sent = [bytes(size) for size in (20, 44, 20, 1400, 44, 1400, 4096)]
    for data in sent:
        ends.port.send(data, ends.address)
    ends.port.send_gathered()

    assert sorted(map(len, ends.answers(len(sent)))) == sorted(map(len, sent))


def test_what_is_sent_is_not_sent_again(ends):
    ends.port.send(b"once", ends.address)
    ends.port.send_gathered()
    ends.port.send_gathered()

    assert ends.answers(1) == [b"once"]


class Refusing:
    """A socket whose kernel cannot cut a send into datagrams, or takes nothing at all."""

    family = socket.AF_INET

    def __init__(self, error: int, takes_single: bool):
        self.error = error
        self.takes_single = takes_single
        self.sent = []
        self.tried = 0

    def sendmsg(self, *_arguments):
        self.tried += 1
        raise OSError(self.error, "no")

    def sendto(self, data, _address):
        if not self.takes_single:
            raise OSError(self.error, "no")
        self.sent.append(data)


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EIO, errno.ENOPROTOOPT])
def test_where_the_kernel_cannot_cut_they_are_sent_one_by_one_from_then_on(error):
    made = Refusing(error, takes_single=True)
    port = UdpPort(0, checks.ACCT, made, False, lambda: None, unseen)
    for _ in range(2):
        for data in (b"a", b"b", b"c"):
            port.send(data, ("127.0.0.1", 9))
        port.send_gathered()

    assert made.sent == [b"a", b"b", b"c"] * 2
    assert made.tried == 1
    assert port.lost == 0


def test_while_somebody_captures_each_answer_leaves_as_the_network_sees_it():
    made = Refusing(errno.EINVAL, takes_single=True)
    port = UdpPort(0, checks.ACCT, made, False, lambda: None, lambda: True)
    for data in (b"a", b"b"):
        port.send(data, ("127.0.0.1", 9))
    port.send_gathered()

    assert made.sent == [b"a", b"b"]
    assert made.tried == 0
    assert port.sends_groups  # again when the capture is over


TITLE = "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n"


def test_a_packet_socket_is_a_capture(tmp_path):
    listed = tmp_path / "packet"
    listed.write_text(TITLE)
    captures = Captures(str(listed), look_every_s=0)
    try:
        assert not captures.may_run()
        listed.write_text(TITLE + "0000000000000000 3      3    0003   1     1 0      0      88046\n")
        assert captures.may_run()
    finally:
        captures.close()
    assert captures.may_run()


def test_one_look_for_captures_is_good_for_a_while(tmp_path):
    listed = tmp_path / "packet"
    listed.write_text(TITLE)
    captures = Captures(str(listed), look_every_s=3600)
    try:
        assert not captures.may_run()
        listed.write_text(TITLE + "0000000000000000 3      3    0003   1     1 0      0      88046\n")
        assert not captures.may_run()
    finally:
        captures.close()


def test_who_cannot_see_captures_does_as_if_there_were_one(tmp_path):
    assert Captures(str(tmp_path / "nothing")).may_run()


def test_what_the_kernel_does_not_take_is_counted_as_lost():
    port = UdpPort(0, checks.ACCT, Refusing(errno.ENOBUFS, takes_single=False), False, lambda: None, unseen)
    for data in (b"a", b"b", b"long"):
        port.send(data, ("127.0.0.1", 9))
    port.send_gathered()

    assert port.lost == 3
    assert port.sends_groups
