"""
RADIUS clients (NAS): what each is allowed, how it is charged, and which one a source address is.

A client is known by its source address alone, never by what a packet says (RFC 2865 3); the most
specific network wins.  Values are built once from the configuration's `[[nas]]` tables with the defaults
of `[charging]` (OPERATIONS sections 3 and 15) and never change; a reload builds new ones.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from aaa.bounded import forget_oldest
from aaa.engine.numbers import PLAIN, NumberPlan, plan_from
from aaa.engine.terms import Policy
from aaa.errors import ConfigError
from aaa.radius.identity import Source, source_of
from aaa.radius.packet import Secret
from aaa.radius.profiles.profile import Profile
from aaa.radius.profiles.shipped import SHIPPED
from aaa.value import Value

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ADDRESSES_MAX = 65_536  # source addresses remembered
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)?")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, None: 1}
_SWITCH = ("yes", "auto", "no")
_QUANTA = ("whole", "fixed", "adaptive")
_OUTAGE = ("deny", "silence", "allow_capped")


class Nas(Value, frozen=True):
    """
    One client entry.

    `secrets`: the first signs, any verifies (S24).  `refill` is the profile's style, `whole` when the
    quantum is.  `emergency` are numbers as normalised, served before anything is looked up (S21).
    """

    name: str
    networks: tuple[Network, ...]
    secrets: tuple[Secret, ...]
    profile: Profile
    policy: Policy
    refill: str = "whole"
    require_message_authenticator: str = "yes"
    limit_proxy_state: str = "auto"
    accept_foreign_nonce: bool = False
    realms: frozenset[str] = frozenset()
    authorize_without_credentials: bool = False
    identity: tuple[Source, ...] = ()
    trust_calling_station_id: bool = False
    coa: tuple[str, int] | None = None
    on_store_down: str = "silence"
    numbers: NumberPlan = PLAIN
    emergency: frozenset[str] = frozenset()
    event_socket: tuple[str, int] | None = None  # of a FreeSWITCH, where calls are ended that CoA cannot end
    event_socket_password: str = ""
    status_server: bool = True
    status_per_second: int = 10


class Clients:
    """
    The client entries, found by source address.

    Args:
        entries: In any order; two entries must not have the same network.
    """

    def __init__(self, entries: Iterable[Nas]) -> None:
        self.entries = tuple(entries)
        self.by_name = {nas.name: nas for nas in self.entries}
        self._tables: dict[int, list[tuple[int, dict[int, Nas]]]] = {4: [], 6: []}
        self._found: dict[str, Nas] = {}
        lengths: dict[tuple[int, int], dict[int, Nas]] = {}
        for nas in self.entries:
            for network in nas.networks:
                shift = network.max_prefixlen - network.prefixlen
                lengths.setdefault((network.version, shift), {})[int(network.network_address) >> shift] = nas
        for (version, shift), table in sorted(lengths.items()):
            self._tables[version].append((shift, table))

    def find(self, address: str) -> Nas | None:
        """Return the entry of a source address, None for a stranger."""
        nas = self._found.get(address)
        return nas if nas is not None else self._search(address)

    def _search(self, address: str) -> Nas | None:
        source = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(source, ipaddress.IPv6Address) and source.ipv4_mapped:
            source = source.ipv4_mapped
        bits = int(source)
        for shift, table in self._tables[source.version]:
            nas = table.get(bits >> shift)
            if nas is not None:
                if len(self._found) >= ADDRESSES_MAX:
                    forget_oldest(self._found)
                self._found[address] = nas
                return nas
        return None


def nas_from(
    settings: Mapping[str, Any], charging: Mapping[str, Any], profiles: Mapping[str, Profile] = SHIPPED
) -> Nas:
    """
    Build one client entry.

    Args:
        settings: One `[[nas]]` table; a key of `[charging]` in it wins over the default for all.
        charging: The `[charging]` table, and `require_message_authenticator` of `[radius]`.
        profiles: Profiles by name, an operator's own among them.

    Raises:
        ConfigError: Every problem of the table, each with its key.
    """
    return _Builder(settings, charging, profiles).build()


class _Builder:
    """Collects the problems of one table while it is read."""

    def __init__(
        self, settings: Mapping[str, Any], charging: Mapping[str, Any], profiles: Mapping[str, Profile]
    ) -> None:
        self.own = settings
        written = {key: value for key, value in settings.items() if value is not None}
        self.all = {key: value for key, value in {**charging, **written}.items() if value is not None}
        self.profiles = profiles
        self.where = f"[[nas]] {settings.get('name', '?')}"
        self.problems: list[str] = []

    def build(self) -> Nas:
        profile = self.profiles.get(self.own.get("profile") or "generic")
        if profile is None:
            names = ", ".join(sorted(self.profiles))
            self.problem("profile", f"no profile {self.own.get('profile')!r}, expected one of {names}")
            profile = SHIPPED["generic"]
        quantum = self._quantum(profile)
        outage = self.own.get("on_store_down") or profile.on_store_down or self.all.get("on_store_down", "silence")
        nas = Nas(
            name=str(self.own.get("name", "")) or self._missing("name"),
            networks=self._networks(),
            secrets=self._secrets(),
            profile=profile,
            policy=self._policy(profile, quantum, outage),
            refill="whole" if quantum == "whole" else profile.refill,
            require_message_authenticator=self._one_of("require_message_authenticator", _SWITCH, "yes"),
            limit_proxy_state=self._one_of("limit_proxy_state", _SWITCH, "auto"),
            accept_foreign_nonce=bool(self.all.get("accept_foreign_nonce", False)),
            realms=frozenset(self.all.get("realms") or ()),
            authorize_without_credentials=bool(self.all.get("authorize_without_credentials", False)),
            identity=self._identity(profile),
            trust_calling_station_id=bool(self.all.get("trust_calling_station_id", False)),
            coa=self._address("coa", "192.0.2.1:3799"),
            on_store_down=self._checked("on_store_down", outage, _OUTAGE),
            numbers=plan_from(self.all.get("numbers")),
            emergency=frozenset(str(number) for number in self.all.get("emergency") or ()),
            event_socket=self._address("event_socket", "127.0.0.1:8021"),
            event_socket_password=self._event_socket_password(),
            status_server=bool(self.all.get("status_server", True)),
            status_per_second=int(self.all.get("status_per_second", 10)),
        )
        if self.problems:
            raise ConfigError(self.problems)
        return nas

    def problem(self, key: str, reason: str) -> None:
        self.problems.append(f"{self.where}: {key}: {reason}")

    def _missing(self, key: str) -> str:
        self.problem(key, "missing")
        return ""

    def _checked(self, key: str, value: Any, allowed: tuple[str, ...]) -> str:
        if value not in allowed:
            self.problem(key, f"{value!r}, expected one of {', '.join(allowed)}")
        return str(value)

    def _one_of(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        return self._checked(key, self.all.get(key) or default, allowed)

    def _networks(self) -> tuple[Network, ...]:
        address = self.own.get("address") or self._missing("address")
        networks = []
        for text in [address] if isinstance(address, str) else address:
            try:
                networks.append(ipaddress.ip_network(text))
            except ValueError as error:
                if text:
                    self.problem("address", str(error))
        return tuple(networks)

    def _secrets(self) -> tuple[Secret, ...]:
        secret = self.own.get("secret") or self._missing("secret")
        texts = [secret] if isinstance(secret, str | bytes) else list(secret)
        if not all(texts) and secret:
            self.problem("secret", "empty")
        return tuple(Secret(text.encode() if isinstance(text, str) else text) for text in texts if text)

    def _quantum(self, profile: Profile) -> str:
        quantum = self.own.get("quantum")
        if quantum is None:
            quantum = self.all.get("quantum", "adaptive") if profile.prefers_adaptive else "whole"
        if quantum != "whole" and profile.refill == "whole":
            self.problem("quantum", f"{quantum!r}, but profile {profile.name} cannot refill: expected whole")
        return self._checked("quantum", quantum, _QUANTA)

    def _policy(self, profile: Profile, quantum: str, outage: str) -> Policy:
        default = Policy()
        smallest = self._seconds("quantum_min", default.quantum_min)
        largest = self._seconds("quantum_max", default.quantum_max)
        if smallest > largest:
            self.problem("quantum_min", f"{smallest} s is more than quantum_max, {largest} s")
        assume = self.own.get("assume")
        if assume is None and (quantum == "whole" or profile.assumes_granted):
            assume = "granted"
        assume = self._checked("assume", assume or self.all.get("assume") or "reported", ("reported", "granted"))
        return Policy(
            quantum=quantum,
            quantum_fixed=self._seconds("quantum_fixed", default.quantum_fixed),
            quantum_min=smallest,
            quantum_max=largest,
            validity_s=self._seconds("validity", default.validity_s),
            hold_s=self._seconds("hold", default.hold_s),
            setup_s=self._seconds("setup", default.setup_s),
            grace_s=self._seconds("grace", default.grace_s),
            session_cap_s=self._seconds("session_cap", default.session_cap_s),
            assume_granted=assume == "granted",
            from_now=not (profile.limits_from_start and profile.refill == "interim"),
            final_margin_s=int(self.all.get("final_margin_s", profile.final_margin_s)),
            outage_call_s=self._seconds("outage_call", 60) if outage == "allow_capped" else 0,
        )

    def _seconds(self, key: str, default: int) -> int:
        value = self.all.get(key)
        if value is None:
            return default
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        found = _DURATION.fullmatch(str(value))
        if not found or found[2] == "ms":
            self.problem(key, f'{value!r}, expected a duration in whole seconds such as "30s" or "5m"')
            return default
        return int(found[1]) * _UNIT_S[found[2]]

    def _identity(self, profile: Profile) -> tuple[Source, ...]:
        sources = []
        for name in self.own.get("identity") or profile.identity:
            try:
                sources.append(source_of(name))
            except ValueError as error:
                self.problem("identity", str(error))
        return tuple(sources)

    def _event_socket_password(self) -> str:
        password = str(self.own.get("event_socket_password") or "")
        if self.own.get("event_socket") and not password:
            self.problem("event_socket_password", "missing: the event socket asks for one")
        return password

    def _address(self, key: str, example: str) -> tuple[str, int] | None:
        text = self.own.get(key)
        if not text:
            return None
        host, _, port = str(text).rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            self.problem(key, f'{text!r}, expected address:port such as "{example}"')
            return None
        return host.strip("[]"), int(port)
