"""
Who asks, proved: PAP, CHAP, SIP digest, or the client's own word where that is configured.

Each method answers the same way for an unknown user and a wrong password, and takes about as long
(DIGEST R-RAD-38).  A method that the stored secret cannot serve is a Reject (R-RAD-33).  Nothing here
knows of money.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from hmac import compare_digest

from aaa.bounded import forget_oldest
from aaa.engine.ports import Subscriber
from aaa.errors import ConfigError
from aaa.keys import Keys
from aaa.radius import attributes as a
from aaa.radius import digest as sip_digest
from aaa.radius.clients import Nas
from aaa.radius.digest import Digest
from aaa.radius.guesses import Guesses
from aaa.radius.nonces import Freshness, Nonces
from aaa.radius.packet import Packet, Secret, attribute, chap_response, reveal_password
from aaa.radius.passwords import HashPool, is_slow, kind_of, matches, nobody
from aaa.value import Value

OPENED_MAX = 65_536
CHAP_LENGTH = 17  # identifier and 16 octets, RFC 2865 5.3


class Outcome(Enum):
    """What became of a proof."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CHALLENGED = "challenged"
    OVERLOADED = "overloaded"


class Verdict(Value, frozen=True):
    """
    The outcome, why, what goes into the answer for it, and the secret to sign that answer with (None:
    the one the request was checked with).
    """

    outcome: Outcome
    reason: str = ""
    body: bytes = b""
    secret: Secret | None = None


Done = Callable[[Verdict], None]

ACCEPTED = Verdict(Outcome.ACCEPTED)
OVERLOADED = Verdict(Outcome.OVERLOADED, "overload")
_DIGEST = frozenset((a.DIGEST_RESPONSE, a.STERMAN_RESPONSE, a.STERMAN_ATTRIBUTES, a.DIGEST_METHOD))
_UNSERVED = frozenset((a.EAP_MESSAGE, a.ARAP_PASSWORD, a.MS_CHAP_RESPONSE, a.MS_CHAP2_RESPONSE))
_PROOFS = _DIGEST | _UNSERVED | {a.USER_PASSWORD, a.CHAP_PASSWORD}


def rejected(reason: str) -> Verdict:
    return Verdict(Outcome.REJECTED, reason)


def _nobody(who: tuple[str, ...]) -> None:
    """There are no other nodes."""


class Authenticator:
    """
    Checks what an Access-Request proves.

    Args:
        keys: Opens stored secrets; the clear ones are kept in memory, bounded.
        pool: Where slow hashes are checked.
    """

    def __init__(self, keys: Keys, pool: HashPool) -> None:
        self._keys = keys
        self._pool = pool
        self._opened: dict[str, bytes] = {}
        self._slow_kind = ""  # the last kind of slow hash met: what an unknown user is checked against
        self.guesses = Guesses()
        self.tell_failure: Callable[[tuple[str, ...]], None] = _nobody
        """Told who was wrong, so that other nodes may count it too."""
        self.nonces = Nonces(keys)

    def has_proof(self, attributes: a.Attributes) -> bool:
        """Tell whether a request tries to prove anything by itself."""
        return not _PROOFS.isdisjoint(attributes)

    def verify(
        self, nas: Nas, packet: Packet, secret: Secret, subscriber: Subscriber | None, now_us: int, done: Done
    ) -> None:
        """
        Check the proof of a request that has one; `done` may be called later, from the reactor thread.

        Args:
            secret: The one the packet was signed with, if it was.
            subscriber: Who it says it is; None: nobody is known by that name.
        """
        attributes = packet.attributes
        found = _PROOFS.intersection(attributes)
        if len(found) > 1 and not found <= _DIGEST:  # RFC 2865 4.1, RFC 3579 3.3
            done(rejected("two_proofs"))
            return
        if found <= _UNSERVED:
            done(rejected("method"))
            return
        if self.guesses.are_any and self.guesses.are_cooling(_who(nas, attributes), now_us):
            done(rejected("guessing"))
            return
        if a.USER_PASSWORD in attributes:
            secrets = (secret,) if packet.signature_at else nas.secrets
            verdict = self._password(
                secrets, packet, subscriber, now_us, partial(self._count, nas, attributes, now_us, done)
            )
        elif a.CHAP_PASSWORD in attributes:
            verdict = self._chap(packet, subscriber)
        else:
            verdict = self._digest(nas, packet, subscriber, now_us)
        if verdict is not None:
            self._count(nas, attributes, now_us, done, verdict)

    def _count(self, nas: Nas, attributes: a.Attributes, now_us: int, done: Done, verdict: Verdict) -> None:
        """Remember a wrong guess, forget the wrong ones before a right one, and go on."""
        if verdict.outcome is Outcome.REJECTED:
            who = _who(nas, attributes)
            self.guesses.failed(who, now_us)
            self.tell_failure(who)
        elif verdict.outcome is Outcome.ACCEPTED and self.guesses.are_any:
            self.guesses.succeeded(_who(nas, attributes))
        done(verdict)

    def challenge(self, nas: Nas, attributes: a.Attributes, digest: Digest, now_us: int, is_stale: bool) -> Verdict:
        """Write a digest challenge: the answer to a request for a nonce, or to an old one (RFC 5090 2.1.5, 2.2.2)."""
        realm = digest.realm or _realm_for(nas, attributes, digest)
        nonce = self.nonces.issue(nas.name, realm, now_us)
        body = attribute(a.DIGEST_NONCE, nonce) + attribute(a.DIGEST_REALM, realm)
        body += attribute(a.DIGEST_ALGORITHM, b"MD5") + attribute(a.DIGEST_QOP, b"auth")
        if is_stale:
            body += attribute(a.DIGEST_STALE, b"true")
        return Verdict(Outcome.CHALLENGED, "stale" if is_stale else "nonce", body + attribute(a.STATE, b"n" + nonce))

    # -- passwords --------------------------------------------------------------------------------

    def _password(
        self, secrets: tuple[Secret, ...], packet: Packet, subscriber: Subscriber | None, now_us: int, done: Done
    ) -> Verdict | None:
        """
        PAP (RFC 2865 5.2), under every secret of the client when nothing says which one it used.

        None: it takes long, and `done` will be called with the verdict.
        """
        hidden = packet.attributes[a.USER_PASSWORD]
        if isinstance(hidden, list):
            return rejected("two_proofs")
        tries = [(secret, reveal_password(hidden, secret.raw, packet.authenticator)) for secret in secrets]
        stored = str(subscriber.credential.get("hash", "")) if subscriber else nobody(self._slow_kind)
        if stored and is_slow(stored):
            self._slow_kind = kind_of(stored)
            self._verify_slowly(tries, stored, subscriber is not None, now_us, done)
            return None
        for secret, password in tries:
            if password is not None and subscriber and self._is_password(subscriber, password, stored):
                return Verdict(Outcome.ACCEPTED, secret=secret)
        return rejected("password")

    def _verify_slowly(
        self, tries: list[tuple[Secret, bytes | None]], stored: str, is_known: bool, now_us: int, done: Done
    ) -> None:
        secret, password = tries[0]
        if password is None:
            done(rejected("password"))
            return
        if self._pool.is_full:
            done(OVERLOADED)
            return

        def checked(is_right: bool) -> None:
            if is_right and is_known:
                done(Verdict(Outcome.ACCEPTED, secret=secret))
            elif len(tries) > 1:
                self._verify_slowly(tries[1:], stored, is_known, now_us, done)
            else:
                done(rejected("password"))

        self._pool.check(password, stored, now_us, checked)

    def _is_password(self, subscriber: Subscriber, password: bytes, stored: str) -> bool:
        """Compare with the clear text, a fast hash, H(A1), or for a PIN alone with nothing more."""
        credential = subscriber.credential
        if "clear" in credential:
            return compare_digest(self._open(credential["clear"]), password)
        if stored:
            return matches(password, stored)
        for realm, sealed in credential.get("ha1", {}).items():
            made = sip_digest.ha1(subscriber.value.encode(), realm.encode(), password)
            if compare_digest(self._open(sealed).lower(), made):
                return True
        return subscriber.type == "pin" and not credential

    def _chap(self, packet: Packet, subscriber: Subscriber | None) -> Verdict:
        """CHAP (RFC 2865 2.2): needs the clear text; an empty challenge is none (DIGEST R-RAD-32)."""
        attributes = packet.attributes
        sent = attributes[a.CHAP_PASSWORD]
        challenge = attributes.get(a.CHAP_CHALLENGE, packet.authenticator)
        if not isinstance(sent, bytes) or len(sent) != CHAP_LENGTH or not challenge or isinstance(challenge, list):
            return rejected("chap")
        clear = self._clear(subscriber)
        right = chap_response(sent[0], clear or b"", challenge)
        return ACCEPTED if clear is not None and compare_digest(right, sent[1:]) else rejected("password")

    # -- digest -----------------------------------------------------------------------------------

    def _digest(self, nas: Nas, packet: Packet, subscriber: Subscriber | None, now_us: int) -> Verdict:
        """SIP digest (RFC 5090 2.2): who, which realm, whose nonce, and only then the response."""
        attributes = packet.attributes
        digest = sip_digest.read(attributes)
        problem = "digest_incomplete" if digest is None else sip_digest.problem(digest)
        if digest is None or problem:
            return rejected(problem)
        if nas.realms and a.as_text(digest.realm) not in nas.realms:
            return rejected("realm")
        if not _is_own_name(nas, attributes, digest, subscriber):
            return rejected("digest_name")
        freshness = Freshness.FRESH
        if not nas.accept_foreign_nonce:
            freshness = self.nonces.freshness(digest.nonce, nas.name, digest.realm, now_us)
            if freshness is Freshness.FOREIGN:
                return rejected("nonce")
        stored = self._ha1(subscriber, digest)
        made_with = sip_digest.session_ha1(digest, stored or b"")
        is_right = compare_digest(sip_digest.response(digest, made_with), digest.response.lower())
        if stored is None or not is_right:
            return rejected("password")
        if freshness is Freshness.STALE:
            if a.STATE in attributes:
                return rejected("nonce")  # RFC 5090 section 5, note 4
            return self.challenge(nas, attributes, digest, now_us, is_stale=True)
        counts = digest.qop and nas.profile.checks_nonce_count
        if counts and not self.nonces.count(digest.nonce, digest.username, digest.nonce_count):
            return rejected("nonce_count")
        return Verdict(Outcome.ACCEPTED, body=_server_proof(nas, attributes, digest, made_with))

    def _ha1(self, subscriber: Subscriber | None, digest: Digest) -> bytes | None:
        if subscriber is None:
            return None
        sealed = subscriber.credential.get("ha1", {}).get(a.as_text(digest.realm))
        if sealed:
            return self._open(sealed).lower()
        clear = self._clear(subscriber)
        return None if clear is None else sip_digest.ha1(digest.username, digest.realm, clear)

    # -- stored secrets ---------------------------------------------------------------------------

    def _clear(self, subscriber: Subscriber | None) -> bytes | None:
        sealed = subscriber.credential.get("clear") if subscriber else None
        return self._open(sealed) if sealed else None

    def _open(self, sealed: str) -> bytes:
        """Open a stored secret, once; one that cannot be opened matches nothing."""
        clear = self._opened.get(sealed)
        if clear is None:
            try:
                clear = self._keys.unseal(sealed)
            except (ConfigError, ValueError):
                clear = b"\xff" * 33  # longer than any hex digest, and no UTF-8 text
            if len(self._opened) >= OPENED_MAX:
                forget_oldest(self._opened)
            self._opened[sealed] = clear
        return clear


def _who(nas: Nas, attributes: a.Attributes) -> tuple[str, ...]:
    """Who is guessing: the identity, and the caller where the client names it."""
    name = a.text(attributes, a.USER_NAME) or a.text(attributes, a.DIGEST_USERNAME)
    caller = a.text(attributes, a.CALLING_STATION_ID)
    identity = f"{nas.name}|u|{name}"
    return (identity, f"{nas.name}|c|{caller}") if caller else (identity,)


def _is_own_name(nas: Nas, attributes: a.Attributes, digest: Digest, subscriber: Subscriber | None) -> bool:
    """
    Check that the names of a digest are one person's (RFC 5090 2.2.2).

    Where User-Name names the payer its user part must be the Digest-Username; where the Digest-Username
    itself does, User-Name may say anything.  A SIP-AOR must be the subscriber's.
    """
    username = digest.username
    if nas.identity and nas.identity[0].code == a.USER_NAME:
        name = a.first(attributes, a.USER_NAME)
        if username not in (name, name.partition(b"@")[0]):
            return False
    aor = a.text(attributes, a.SIP_AOR)
    if not aor:
        return True
    user = aor.removeprefix("sips:").removeprefix("sip:")
    own = subscriber.value.removeprefix("sip:") if subscriber else ""
    return user == own or user.partition("@")[0] in (a.as_text(username), own)


def _realm_for(nas: Nas, attributes: a.Attributes, digest: Digest) -> bytes:
    """Choose the realm of a challenge: the client's own, else the host that is asked for."""
    host = digest.uri.rpartition(b"@")[2].removeprefix(b"sip:").partition(b";")[0].partition(b":")[0]
    if not nas.realms:
        return host or b"sip"
    if a.as_text(host) in nas.realms:
        return host
    return min(nas.realms).encode()


def _server_proof(nas: Nas, attributes: a.Attributes, digest: Digest, made_with: bytes) -> bytes:
    """
    Write what lets the client prove the server to its user (RFC 5090 2.2.3).

    Digest-Response-Auth; with auth-int H(A1) instead, and only a session's, which is worth nothing later.
    """
    takes = nas.profile.takes
    if a.DIGEST_RESPONSE not in attributes or (takes is not None and a.DIGEST_RESPONSE_AUTH not in takes):
        return b""
    if digest.qop != b"auth-int":
        return attribute(a.DIGEST_RESPONSE_AUTH, sip_digest.response(digest, made_with, method=b""))
    if digest.algorithm.lower() == b"md5-sess":
        return attribute(a.DIGEST_HA1, made_with)
    return b""
