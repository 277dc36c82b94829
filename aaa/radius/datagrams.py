"""
What goes through one bound UDP socket: drained in bulk, answers gathered and sent together.

On a host with several addresses the kernel chooses the source of a datagram by its routes.  A client drops
an answer that comes from another address than it asked (RFC 2865 3), so a socket bound to all addresses
asks the kernel for each datagram's destination and answers from there.

Answers of one size to one address, as the Accounting-Responses of a batch to a client that asks from few
ports, leave as one send that the kernel cuts into datagrams (UDP_SEGMENT): a third of what as many sends
cost.  Where the kernel or a device cannot, they are sent one by one from then on.  A capture on this host would
see the send before it is cut, one long datagram that looks malformed; so while anybody captures, from a fiftieth of a
second after it began, nothing is joined.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from time import monotonic
from typing import Any

from aaa.radius.packet import LENGTH_MAX

Address = tuple[Any, ...]  # host and port first, as sockets give it

DATAGRAM_MAX = LENGTH_MAX + 1024  # more than a packet can be: the rest is padding, or too long
SEGMENTS_MAX = 64  # linux/udp.h: what the first kernels that could took at most
SEGMENT_SIZE_MAX = 1_000  # octets; well below what any path takes in one piece
_UDP_SEGMENT = 103  # linux/udp.h; the socket module has no name for it
IP_PKTINFO = 8  # linux/in.h; nor for this
_CONTROL_SIZE = socket.CMSG_SPACE(20)
_CAPTURES = "/proc/self/net/packet"
_LOOK_EVERY_S = 0.02
_CANNOT = (errno.EINVAL, errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP)


class Captures:
    """
    Whether packets are captured on this host: the kernel's list of packet sockets, a line each below its title.

    Args:
        look_every_s: How long one look at the list is good for: it costs as much as a tenth of a request.
    """

    def __init__(self, path: str = _CAPTURES, look_every_s: float = _LOOK_EVERY_S) -> None:
        self._look_every_s = look_every_s
        self._look_again_s = 0.0
        self._may_run = True
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._file = -1

    def may_run(self) -> bool:
        """Whether anybody captures now; who cannot be asked may."""
        now_s = monotonic()
        if now_s >= self._look_again_s:
            self._look_again_s = now_s + self._look_every_s
            self._may_run = self._look()
        return self._may_run

    def _look(self) -> bool:
        if self._file < 0:
            return True
        try:
            return os.pread(self._file, 512, 0).count(b"\n") != 1
        except OSError:
            return True

    def close(self) -> None:
        """Ask no more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class UdpPort:
    """
    A bound socket as the service's port.

    Args:
        number: Unlike that of any other port; part of what a duplicate is known by.
        kind: checks.AUTH or checks.ACCT.
        is_wildcard: It is bound to all addresses of the host and asks for each datagram's own.
        gathering: Called when the first answer waits for `send_gathered`.
        is_captured: Whether somebody on this host may look at what is sent.
    """

    def __init__(
        self,
        number: int,
        kind: int,
        made: socket.socket,
        is_wildcard: bool,
        gathering: Callable[[], None],
        is_captured: Callable[[], bool],
    ) -> None:
        self.number = number
        self.kind = kind
        self.socket = made
        self.lost = 0  # answers the kernel did not take
        self.sends_groups = True
        self._gathering = gathering
        self._is_captured = is_captured
        self._gathered: dict[tuple[Address, int], list[bytes]] = {}
        self._is_wildcard = is_wildcard
        self._is_v6 = made.family == socket.AF_INET6

    def receive(self, most: int) -> list[tuple[bytes, Address]]:
        """Return the datagrams that are there, at most so many."""
        read: Callable[[int], tuple[bytes, Address]] = self.socket.recvfrom
        if self._is_wildcard:
            read = self._read_from_any
        found: list[tuple[bytes, Address]] = []
        for _ in range(most):
            try:
                found.append(read(DATAGRAM_MAX))
            except BlockingIOError:
                break
            except OSError:
                continue  # an ICMP error of an earlier answer; the next datagram is behind it
        return found

    def send(self, data: bytes, address: Address) -> None:
        """Have an answer sent with the next `send_gathered`."""
        if not self._gathered:
            self._gathering()
        alike = (address, len(data))
        answers = self._gathered.get(alike)
        if answers is None:
            self._gathered[alike] = [data]
        else:
            answers.append(data)

    def send_gathered(self) -> None:
        """Send the answers that wait; one that the kernel does not take is lost, as on the wire."""
        gathered, self._gathered = self._gathered, {}
        is_worth_it = len(gathered) < sum([len(answers) for answers in gathered.values()])
        joins = is_worth_it and self.sends_groups and not self._is_captured()
        for (address, size), answers in gathered.items():
            if joins and len(answers) > 1 and size <= SEGMENT_SIZE_MAX:
                for at in range(0, len(answers), SEGMENTS_MAX):
                    self._send_group(answers[at : at + SEGMENTS_MAX], size, address)
            else:
                self._send_each(answers, address)

    def _send_group(self, answers: list[bytes], size: int, address: Address) -> None:
        """Send answers of one size as one."""
        if self.sends_groups:
            control: list[Any] = [(socket.SOL_UDP, _UDP_SEGMENT, struct.pack("=H", size))]
            try:
                if self._is_wildcard:
                    self.socket.sendmsg(answers, control + self._source(address[-1]), 0, address[:-1])
                else:
                    self.socket.sendmsg(answers, control, 0, address)
            except OSError as error:
                if error.errno not in _CANNOT:
                    self.lost += len(answers)
                    return
                self.sends_groups = False
            else:
                return
        self._send_each(answers, address)

    def _send_each(self, answers: list[bytes], address: Address) -> None:
        for data in answers:
            try:
                if self._is_wildcard:
                    self.socket.sendmsg([data], self._source(address[-1]), 0, address[:-1])
                else:
                    self.socket.sendto(data, address)
            except OSError:
                self.lost += 1

    def _read_from_any(self, size: int) -> tuple[bytes, Address]:
        """A datagram, with the address it was sent to behind that of its sender."""
        data, control, _, address = self.socket.recvmsg(size, _CONTROL_SIZE)
        return data, (*address, control[0][2] if control else b"")

    def _source(self, destination: bytes) -> list[Any]:
        """The control message that answers from the address a datagram was sent to."""
        if not destination:
            return []
        if self._is_v6:
            return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, destination)]
        # in_pktinfo: interface, local address, destination
        return [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=i4s4s", 0, destination[4:8], bytes(4)))]
