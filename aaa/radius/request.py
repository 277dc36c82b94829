"""
One request on its way through the RADIUS face.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aaa.radius import attributes as a
from aaa.radius.dedup import Entry
from aaa.radius.identity import candidates
from aaa.radius.packet import Packet, Secret

if TYPE_CHECKING:
    from aaa.radius.clients import Nas
    from aaa.radius.service import Port


class Request:
    """A checked packet, who sent it, and where its answer goes."""

    __slots__ = ("_identities", "address", "entry", "nas", "now_us", "packet", "port", "secret")

    def __init__(
        self,
        packet: Packet,
        nas: Nas,
        secret: Secret,
        address: tuple[Any, ...],
        port: Port,
        entry: Entry,
        now_us: int,
    ) -> None:
        self.packet = packet
        self.nas = nas
        self.secret = secret
        self.address = address
        self.port = port
        self.entry = entry  # what is remembered of it for its repeats
        self.now_us = now_us
        self._identities: list[tuple[str, str]] | None = None

    def identities(self) -> list[tuple[str, str]]:
        """The (type, value) pairs its payer may be known by (S23)."""
        if self._identities is None:
            self._identities = candidates(self.nas, self.packet.attributes, self.address[0])
        return self._identities

    def user_name(self) -> str:
        """The User-Name as it was sent, for requests back to the NAS."""
        return a.text(self.packet.attributes, a.USER_NAME)

    def nas_identity(self) -> str:
        """
        The NAS that speaks (S20): NAS-Identifier, else its address as it says, else the packet's.

        The client entry stands before it wherever it is used, so that no client can speak for another.
        """
        attributes = self.packet.attributes
        name = a.text(attributes, a.NAS_IDENTIFIER)
        if "|" in name:
            name = name.replace("|", "\\x7c")  # what separates the parts of a session key
        return (
            name
            or a.address(a.first(attributes, a.NAS_IP_ADDRESS))
            or a.address(a.first(attributes, a.NAS_IPV6_ADDRESS))
            or str(self.address[0])
        )
