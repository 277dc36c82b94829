"""Datagrams as a capture file (libpcap, raw IPv4), so that foreign dissectors can judge them without capturing."""

from __future__ import annotations

import struct
from pathlib import Path

RAW_IPV4 = 228
LOOPBACK = bytes((127, 0, 0, 1))


class Capture:
    """Collects datagrams between two ports of one host."""

    def __init__(self) -> None:
        self._packets: list[bytes] = []

    def add(self, data: bytes, source: int, target: int) -> None:
        """One datagram."""
        udp = struct.pack("!HHHH", source, target, 8 + len(data), 0) + data
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), len(self._packets), 0, 64, 17, 0)
        self._packets.append(header + LOOPBACK + LOOPBACK + udp)

    def write(self, path: Path) -> None:
        """The file, one packet a millisecond."""
        parts = [struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, RAW_IPV4)]
        for number, packet in enumerate(self._packets):
            parts.append(struct.pack("=IIII", 1_700_000_000, number * 1_000, len(packet), len(packet)) + packet)
        path.write_bytes(b"".join(parts))
