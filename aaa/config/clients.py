"""
The `[[nas]]` and `[[peer]]` tables: one schema for the configuration and for `apply` files.

They stay close to what a person writes; the RADIUS and Diameter faces turn the plain dictionaries into
their own runtime objects.  Keys that are not written are absent, so that profiles can supply defaults.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from aaa.config.values import HostPort, Micro, Network, Octets, Seconds, is_loopback

DEMO_SECRET = "testing123"  # noqa: S105 - the secret everybody knows, refused off loopback
Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\s\x00-\x1f]+$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f]+$")]
Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]+$", max_length=32)]
Prefixes = Annotated[
    list[Annotated[str, StringConstraints(pattern=r"^[0-9+#*]+$", max_length=32)]], Field(max_length=64)
]
YesAutoNo = Literal["yes", "auto", "no"]
Quantum = Literal["whole", "fixed", "adaptive"]
Outage = Literal["deny", "silence", "allow_capped"]


GrantedBy = Literal["session-timeout", "credit-time", "total-octets-mikrotik", "total-octets-chillispot", "sip-avp"]


def _secret_list(secret: Any) -> Any:
    secrets = [secret] if isinstance(secret, str) else secret
    if isinstance(secrets, list) and (not secrets or "" in secrets):
        raise ValueError("an empty secret protects nothing (RFC 2865 section 3)")
    return secrets


# Every packet is tried against all secrets of its client, so there cannot be many.
Secrets = Annotated[list[str], BeforeValidator(_secret_list), Field(max_length=4)]


class Table(BaseModel):
    """Base of every table a person writes: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NumbersTable(Table):
    """How this client writes numbers, so that they can be normalised to E.164 (SEMANTICS S22)."""

    country: Digits | None = None
    area: Digits | None = None
    international: Prefixes = []
    national: Annotated[str, StringConstraints(pattern=r"^[0-9]*$", max_length=8)] | None = None
    strip: Prefixes = []


class NasTable(Table):
    """One RADIUS client, or a network of them (SEMANTICS S9, S12, S20-S23)."""

    name: Name
    address: Network
    secret: Secrets | None = None
    secret_file: str | None = None
    secret_env: str | None = None
    profile: Name = "generic"
    require_message_authenticator: YesAutoNo | None = None
    limit_proxy_state: YesAutoNo | None = None
    accept_foreign_nonce: bool | None = None
    realms: list[Name] | None = None
    authorize_without_credentials: bool | None = None
    identity: Annotated[list[Name], Field(min_length=1, max_length=16)] | None = None
    trust_calling_station_id: bool | None = None
    coa: HostPort | None = None
    event_socket: HostPort | None = None
    event_socket_password: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    event_socket_password_file: str | None = None
    quantum: Quantum | None = None
    quantum_fixed: Seconds | None = None
    quantum_min: Seconds | None = None
    quantum_max: Seconds | None = None
    validity: Seconds | None = None
    hold: Seconds | None = None
    setup: Seconds | None = None
    grace: Seconds | None = None
    session_cap: Seconds | None = None
    assume: Literal["reported", "granted"] | None = None
    on_store_down: Outage | None = None
    outage_call: Annotated[Seconds, Field(gt=0)] | None = None
    final_margin_s: Annotated[int, Field(ge=0, le=3600)] | None = None
    octets_per_second_max: Annotated[int, Field(gt=0)] | None = None
    emergency: Prefixes | None = None
    numbers: NumbersTable | None = None

    @model_validator(mode="after")
    def _one_way_to_the_secret(self) -> NasTable:
        given = [key for key in ("secret", "secret_file", "secret_env") if getattr(self, key) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ValueError(f"exactly one of secret, secret_file, secret_env is expected, found {found}")
        check_secrets(list(self.secret or []), self.address)
        return self


Names = Annotated[list[Name], Field(min_length=1, max_length=64)]


class ProfileTable(Table):
    """
    A NAS profile of your own: a shipped one (`base`) with what your client does otherwise.

    The keys are those of `aaa.radius.profiles.profile.Profile`, which says what each means.
    """

    name: Name
    base: Literal["generic", "freeswitch", "freeswitch-stock", "cisco-voip", "kamailio", "hotspot"] = "generic"
    identity: Names | None = None
    session_keys: list[Literal["s", "m", "h"]] | None = None
    called: Names | None = None
    calling: Names | None = None
    session_pair: str | None = None
    takes_pins: bool | None = None
    charged_origin: str | None = None
    charged_call_type: str | None = None
    asks_by_request_type: bool | None = None
    asks_by_called: bool | None = None
    times_by_events: bool | None = None
    refill: Literal["reauth", "interim", "whole"] | None = None
    assumes_granted: bool | None = None
    prefers_adaptive: bool | None = None
    final_margin_s: Annotated[int, Field(ge=0, le=3600)] | None = None
    limits_from_start: bool | None = None
    takes: Names | None = None
    grants_by: list[GrantedBy] | None = None
    prefixes_values: bool | None = None
    shows_balance: bool | None = None
    names_payer: bool | None = None
    explains_rejects: bool | None = None
    rejects_by_accept: bool | None = None
    signs_answers: bool | None = None
    always_answers: bool | None = None
    renews_by_interval: bool | None = None
    interim_interval_s: Annotated[int, Field(ge=60, le=86_400)] | None = None
    checks_nonce_count: bool | None = None
    on_store_down: Outage | None = None


Trigger = Literal[
    "sgsn", "qos", "location", "rat", "timezone", "media", "participants", "service", "serving_node", "access"
]


class PeerTable(Table):
    """One Diameter neighbour, or all of a realm (SEMANTICS S23)."""

    origin_host: Name
    realm: Name
    address: list[Network] = []
    tls: bool = False
    relay: bool = False
    allow: list[Literal["session", "event", "refund", "money", "credit"]] = ["session", "event"]
    final_margin_s: Annotated[int, Field(ge=0, le=3600)] = 0
    quantum: Quantum | None = None
    quantum_fixed: Seconds | None = None
    quantum_min: Seconds | None = None
    quantum_max: Seconds | None = None
    quantum_octets: Octets | None = None
    validity: Seconds | None = None
    session_cap: Seconds | None = None
    final_action: Literal["terminate", "redirect", "restrict"] | None = None
    redirect_to: Text | None = None
    restriction_filters: Annotated[list[Text], Field(max_length=16)] | None = None
    filter_ids: Annotated[list[Text], Field(max_length=16)] | None = None
    failure_handling: Literal["terminate", "continue", "retry_and_terminate"] | None = None
    triggers: Annotated[list[Trigger], Field(max_length=16)] | None = None
    quota_holding_time: Seconds | None = None
    time_quota_threshold: Seconds | None = None
    volume_quota_threshold: Octets | None = None
    low_balance: Micro | None = None
    on_store_down: Outage | None = None
    emergency: Prefixes | None = None
    numbers: NumbersTable | None = None

    @model_validator(mode="after")
    def _known_by_address_or_certificate(self) -> PeerTable:
        if not self.address and not self.tls:
            raise ValueError("address is required without tls = true: the socket is trusted, not the peer's words")
        return self


def check_secrets(secrets: list[str], address: str) -> None:
    """
    Refuse the well-known demo secret anywhere but on loopback.

    Raises:
        ValueError: With the reason.
    """
    if DEMO_SECRET in secrets and not is_loopback(address):
        raise ValueError(f"secret {DEMO_SECRET} is accepted for loopback addresses only, not for {address}")


def as_document(table: NasTable | PeerTable | ProfileTable) -> dict[str, Any]:
    """The table as the plain dictionary the protocol faces read: only what was written, and the profile."""
    document = table.model_dump(exclude_unset=True)
    if isinstance(table, NasTable):
        document["profile"] = table.profile
    elif isinstance(table, PeerTable):
        document.update(relay=table.relay, allow=list(table.allow), final_margin_s=table.final_margin_s)
    return document
