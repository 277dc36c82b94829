"""
One NAS profile: the dialect of a kind of client, as data.

The functions of this package read requests and write answers by these fields alone, so that a profile
of an operator's own (configuration) can do whatever a shipped one does.
"""

from __future__ import annotations

from dataclasses import dataclass

from aaa.engine.terms import ChargeKey
from aaa.radius.attributes import CALLED_STATION_ID, CALLING_STATION_ID


@dataclass(slots=True, frozen=True)
class Profile:
    """
    What a client sends, means and can take.

    Requests
        identity: Attributes that name the payer, the first one present decides (S23).
        session_keys: Kinds of session names, preferred first: `s` Acct-Session-Id, `m`
            Acct-Multi-Session-Id (one call per id; never for multilink), `h` h323-conf-id with origin.
        takes_pins: A User-Name of digits may be a PIN; without a password the PIN is the proof.
        session_pair: A Cisco-AVPair that names the session where Acct-Session-Id is absent.
        called, calling: Attributes with the numbers, first present wins.
        charge_keys: The lines a session asks for, one each; a single one is of seconds.
        charged_origin: Of the legs that share a conference id, the h323-call-origin that is charged;
            others are acknowledged and move nothing.  "" charges every session.
        charged_call_type: Beside it, the h323-call-type that is charged: two gateways of one call
            both originate a leg.
        asks_by_request_type: Service-Type says nothing (the client's library appends 8 to everything);
            a request asks for service if it names a called number and its request-type is not `user`.
        asks_by_called: A request for service names a called number; one without only authenticates.
        times_by_events: No Acct-Session-Time is sent, durations are differences of event times.

    Refills (RADIUS.md)
        refill: `reauth` (the client asks again), `interim` (CoA and Disconnect), `whole`.
        assumes_granted: A session that ends without a Stop has used its grant (S8).
        prefers_adaptive: Refills are proven for this client, its quantum defaults to [charging]'s.
        final_margin_s: Seconds told less on the final grant (S11).
        limits_from_start: CoA limits count from the start of the session, not from now.

    Answers
        takes: Attributes the client can take at all; None for all.  One it does not know may cost it
            the whole answer.
        grants_by: Attributes that say the grant: any of `session-timeout`, `credit-time`,
            `total-octets-mikrotik`, `total-octets-chillispot`, `sip-avp`.
        prefixes_values: h323 values carry their own name ("h323-credit-time=60").
        names_payer: Chargeable-User-Identity in an Accept says who pays, for accounting to bring back.
        shows_balance: h323-credit-amount and h323-currency go with a grant.
        explains_rejects: A Reject carries h323-return-code (against RFC 2865 5.44, as Cisco needs it).
        rejects_by_accept: A refusal is an Accept with h323-credit-time 0 and the return code.
        signs_answers: Message-Authenticator comes first in every answer.
        always_answers: Silence hurts this client more than a Reject (FreeSWITCH blocks).
        renews_by_interval: Acct-Interim-Interval tells when to ask again, below the grant.
        interim_interval_s: Acct-Interim-Interval for clients that report (RFC 2869 5.16: >= 60).
        checks_nonce_count: Digest nonce counts are checked here; False where the client does.
    """

    name: str
    identity: tuple[str, ...] = ("User-Name",)
    session_keys: tuple[str, ...] = ("s",)
    called: tuple[int, ...] = (CALLED_STATION_ID,)
    calling: tuple[int, ...] = (CALLING_STATION_ID,)
    session_pair: str = ""
    takes_pins: bool = False
    charge_keys: tuple[ChargeKey, ...] = (ChargeKey(),)
    charged_origin: str = ""
    charged_call_type: str = ""
    asks_by_request_type: bool = False
    asks_by_called: bool = False
    times_by_events: bool = False

    refill: str = "reauth"
    assumes_granted: bool = False
    prefers_adaptive: bool = False
    final_margin_s: int = 0
    limits_from_start: bool = False

    takes: frozenset[int] | None = None
    grants_by: tuple[str, ...] = ("session-timeout",)
    prefixes_values: bool = False
    shows_balance: bool = False
    names_payer: bool = False
    explains_rejects: bool = False
    rejects_by_accept: bool = False
    signs_answers: bool = True
    always_answers: bool = False
    renews_by_interval: bool = False
    interim_interval_s: int = 0
    checks_nonce_count: bool = True
    on_store_down: str = ""
