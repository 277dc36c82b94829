"""
Diameter peers: who may connect, what they may ask for, and how they are charged.

A peer is known by its address or its certificate, and only then by its CER's words (S23).  Values are
built once from the `[[peer]]` tables with the defaults of `[charging]` and never change; a reload builds
new ones.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aaa.diameter.terms import Terms, terms_from
from aaa.engine.numbers import PLAIN, NumberPlan, normalise, plan_from
from aaa.engine.terms import Policy
from aaa.errors import ConfigError
from aaa.value import replace

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ANY = "*"
QUANTUM_EVENTS = 1_000  # an event is granted as often as it is asked for, up to this
_SECONDS = ("quantum_fixed", "quantum_min", "quantum_max", "validity", "setup", "grace", "session_cap", "hold")


@dataclass(slots=True, frozen=True)
class Peer:
    """
    One peer entry.

    `origin_host` and `realm` are lower case; `*` stands for every host of the realm.  `relay` peers may
    carry requests of other Origin-Hosts.  `allow` names what may be asked: session, event, refund, money, credit.
    """

    origin_host: str
    realm: str
    networks: tuple[Network, ...] = ()
    tls: bool = False
    relay: bool = False
    allow: frozenset[str] = frozenset({"session", "event"})
    policy: Policy = Policy(tells_validity=True)
    terms: Terms = Terms()
    numbers: NumberPlan = PLAIN
    emergency: frozenset[str] = frozenset()


class Peers:
    """The peer entries, found by what a connection proves and what its CER says."""

    def __init__(self, entries: Iterable[Peer]) -> None:
        self.entries = tuple(entries)

    def admits(self, address: str) -> bool:
        """Whether a connection from this address can belong to any peer at all."""
        return any(peer.tls or _is_inside(peer, address) for peer in self.entries)

    def find(self, origin_host: str, realm: str, address: str, certified: frozenset[str] | None) -> Peer | None:
        """
        The entry of a peer, or None.

        Args:
            origin_host, realm: As the CER says, in any case.
            certified: Lower-case names of the peer's certificate; None without TLS.
        """
        host, realm = origin_host.lower(), realm.lower()
        for peer in self.entries:
            if peer.realm not in (realm, ANY) or peer.origin_host not in (host, ANY):
                continue
            if peer.tls and (certified is None or host not in certified):
                continue
            if peer.networks and not _is_inside(peer, address):
                continue
            return peer
        return None


def peer_from(document: Mapping[str, Any], defaults: Mapping[str, Any]) -> Peer:
    """
    Build a peer from its table and the defaults of `[charging]`.

    Raises:
        ConfigError: With every problem of the entry.
    """
    name = str(document.get("origin_host", ""))
    problems: list[str] = []
    networks = []
    for text in document.get("address", ()):
        try:
            networks.append(ipaddress.ip_network(text, strict=False))
        except ValueError as error:
            problems.append(f"[[peer]] {name}: address: {error}")
    for key in ("origin_host", "realm"):
        if not document.get(key):
            problems.append(f"[[peer]] {name}: {key}: is missing")
    if not networks and not document.get("tls"):
        problems.append(f"[[peer]] {name}: address: is required without tls = true")
    try:
        terms = terms_from(document)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    numbers = plan_from(document.get("numbers"))
    emergency = document.get("emergency", defaults.get("emergency", ()))
    return Peer(
        origin_host=name.lower(),
        realm=str(document["realm"]).lower(),
        networks=tuple(networks),
        tls=bool(document.get("tls", False)),
        relay=bool(document.get("relay", False)),
        allow=frozenset(document.get("allow", ("session", "event"))),
        policy=replace(_policy(document, defaults), outlasts_credit=terms.outlasts_credit),
        terms=terms,
        numbers=numbers,
        emergency=frozenset(normalise(number, numbers) for number in emergency),
    )


def _policy(document: Mapping[str, Any], defaults: Mapping[str, Any]) -> Policy:
    merged = {**defaults, **{key: value for key, value in document.items() if value is not None}}
    chosen: dict[str, Any] = {"quantum": merged.get("quantum", "adaptive")}
    fields = set(Policy.__struct_fields__)
    for key in _SECONDS:
        if key in merged:
            chosen[key if key in fields else f"{key}_s"] = int(merged[key])
    if "quantum_octets" in merged:
        chosen["quantum_octets"] = int(merged["quantum_octets"])
    return Policy(
        **chosen,
        assume_granted=merged.get("assume", "reported") == "granted",
        final_margin_s=int(merged.get("final_margin_s", 0)),
        tells_validity=True,
        quantum_events=QUANTUM_EVENTS,
    )


def _is_inside(peer: Peer, address: str) -> bool:
    try:
        place = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(place, ipaddress.IPv6Address) and place.ipv4_mapped is not None:
        place = place.ipv4_mapped
    return any(place in network for network in peer.networks)
