"""
UDP sockets that several workers share, each client to one of them.

Theory.  Sockets bound to one address with SO_REUSEPORT form a group, and the kernel gives each datagram to one
of them.  Its own choice hashes the source port too, so that the packets of one switch, which uses many ports,
would be scattered over all workers.  A classic BPF program attached to the group chooses by source address
alone: its result is the index of a socket in the group, in the order in which they joined.

When a socket of a group is closed, the last one takes its place and the indexes mean something else.  So the
parent makes every socket and keeps it open for as long as it runs; a worker works on the one it was handed, and the
worker that replaces it is handed the same one.  What arrives meanwhile waits in the socket.

The index is the upper half of the address times the golden ratio, scaled to the number of sockets: addresses
that follow each other, at whatever distance, spread evenly (Knuth, The Art of Computer Programming 6.4).
"""

from __future__ import annotations

import ctypes
import socket
import struct

from aaa.radius import udp

SO_ATTACH_REUSEPORT_CBPF = 51  # asm-generic/socket.h; the socket module has no name for it
RECEIVE_BUFFER = 8 << 20

_GOLDEN = 0x9E3779B1
_NETWORK_HEADER = 0xFFF00000  # SKF_NET_OFF of linux/filter.h: offsets that count from the IP header
_LOAD, _LOAD_MEMORY, _STORE, _TO_X, _RETURN_A = 0x20, 0x60, 0x02, 0x07, 0x16  # ld [k], ld M[k], st M[k], tax, ret a
_MULTIPLY, _SHIFT_RIGHT, _XOR_X = 0x24, 0x74, 0xAC

_INSTRUCTION = struct.Struct("HBBI")  # struct sock_filter: code, jt, jf, k
_PROGRAM = struct.Struct("HxxxxxxP")  # struct sock_fprog: length, pointer


def program(count: int, is_v6: bool) -> bytes:
    """The instructions that turn a source address into an index below `count`."""
    offsets = (8, 12, 16, 20) if is_v6 else (12,)
    code = [(_LOAD, _NETWORK_HEADER + offsets[0])]
    for offset in offsets[1:]:
        code += [(_STORE, 0), (_LOAD, _NETWORK_HEADER + offset), (_TO_X, 0), (_LOAD_MEMORY, 0), (_XOR_X, 0)]
    code += [(_MULTIPLY, _GOLDEN), (_SHIFT_RIGHT, 16), (_MULTIPLY, count), (_SHIFT_RIGHT, 16), (_RETURN_A, 0)]
    return b"".join(_INSTRUCTION.pack(operation, 0, 0, operand) for operation, operand in code)


def index_of(address: str, count: int) -> int:
    """What the program answers for an IPv4 address; for those who plan or test."""
    (number,) = struct.unpack("!I", socket.inet_aton(address))
    return ((int(number) * _GOLDEN & 0xFFFFFFFF) >> 16) * count >> 16


def shared(address: str, count: int, receive_buffer: int = RECEIVE_BUFFER) -> list[socket.socket]:
    """
    Bind `count` sockets to one `host:port`, steered by source address; port 0 takes a free one.

    Raises:
        OSError: It cannot be bound: it is taken, also by another server that would share it.
    """
    with udp.bound(address, receive_buffer, False) as probe:  # a group would let strangers of the same user join
        port = probe.getsockname()[1]
    made: list[socket.socket] = []
    try:
        for _ in range(count):
            made.append(udp.bound(f"{address.rpartition(':')[0]}:{port}", receive_buffer, True))
        _steer(made[0], count)
    except OSError:
        for each in made:
            each.close()
        raise
    return made


def _steer(member: socket.socket, count: int) -> None:
    """Attach the program to the group of this socket."""
    code = program(count, member.family == socket.AF_INET6)
    held = ctypes.create_string_buffer(code)
    filled = _PROGRAM.pack(len(code) // _INSTRUCTION.size, ctypes.addressof(held))
    member.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, filled)
