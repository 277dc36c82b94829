"""
mod_xml_radius as it behaves on the wire, driven by the configuration files that are shipped.

Written from the captures in tests/data/radius-freeswitch-wire.jsonl: the order of attributes, what the
library appends, identical retransmissions, a new identifier for the next server, which is asked after a
Reject too, and the reply parser that drops every attribute when it meets one that it does not know.
"""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

CONF = Path(__file__).parents[1] / "conf" / "freeswitch_mod_xml_radius"
sys.path.insert(0, str(CONF))

from dialplan_walk import Call, Dialplan, Files  # noqa: E402

Exchange = Callable[[str, bytes], bytes | None]  # section's server kind and request, to answer or silence
OK, TIMEOUT, REJECTED, LOCAL_ERROR, BAD_ANSWER = 0, 1, 2, -1, -2


class Dictionary:
    """A client dictionary: names to (vendor, code, type), and back."""

    def __init__(self, path: Path) -> None:
        vendors: dict[str, int] = {}
        self.by_name: dict[str, tuple[int, int, str]] = {}
        for line in path.read_text().splitlines():
            words = line.partition("#")[0].split()
            if words[:1] == ["VENDOR"]:
                vendors[words[1]] = int(words[2])
            elif words[:1] == ["ATTRIBUTE"]:
                vendor = next((vendors[w.removeprefix("vendor=")] for w in words[4:] if w.startswith("vendor=")), 0)
                self.by_name[words[1]] = (vendor, int(words[2]), words[3])
        self.by_code = {(vendor, code): (name, kind) for name, (vendor, code, kind) in self.by_name.items()}
        self.vendors = set(vendors.values())


class Module:
    """
    One loaded mod_xml_radius.

    Args:
        exchange: Sends a datagram and returns the answer, None when none came in time.
        servers: How many servers each section names; the next is asked after silence and after a Reject.
    """

    def __init__(self, exchange: Exchange, secret: bytes, root: Path = CONF, servers: int = 1) -> None:
        self.files = Files(root)
        self.config = self.files.read("autoload_configs/xml_radius.conf.xml")
        self.dictionary = Dictionary(root / "radius/dictionary")
        self.secret = secret
        self.sent: list[bytes] = []
        self._exchange = exchange
        self._servers = servers

    def authorize(self, section: str, variables: dict[str, str]) -> dict[str, str]:
        """Send an Access-Request; return the channel variables it leaves, `radius_auth_result` among them."""
        body = self._fields(section, variables)
        if body is None:
            return {}  # a value did not fit: nothing was sent and nothing is set
        body += struct.pack(">BBI", 6, 6, 8) + struct.pack(">BBI", 5, 6, 0) + b"\x04\x06\x7f\0\0\1"
        result, found = self._ask("auth", 1, body, lambda head, body: os.urandom(16))
        return {**found, "radius_auth_result": str(result)}

    def account(self, section: str, variables: dict[str, str]) -> int:
        """Send an Accounting-Request where the section's condition holds; return the result."""
        status = {"acct_start": 1, "acct_end": 2}[section]
        if variables.get("direction") != "inbound":
            return OK
        body = self._fields(section, variables)
        if body is None:
            return LOCAL_ERROR
        body += struct.pack(">BBI", 40, 6, status) + struct.pack(">BBI", 5, 6, 0)
        body += struct.pack(">BBI", 41, 6, 0) + b"\x04\x06\x7f\0\0\1"
        return self._ask("acct", 4, body, self._signed)[0]

    def _fields(self, section: str, variables: dict[str, str]) -> bytes | None:
        """The configured fields in file order; None when one does not fit."""
        body = b""
        for field in self.config.find(section).iterfind("fields/param"):
            vendor, code, kind = self.dictionary.by_name[field.get("name")]
            value = self._value(field, kind, variables)
            if value is None:
                continue
            if len(value) > 253:
                return None
            if vendor:
                inside = struct.pack(">IBB", vendor, code, (len(value) + 2) & 255) + value
                body += struct.pack(">BB", 26, (len(inside) + 2) & 255) + inside  # the octet wraps, as the real one
            else:
                body += struct.pack(">BB", code, len(value) + 2) + value
        return body

    def _value(self, field: ElementTree.Element, kind: str, variables: dict[str, str]) -> bytes | None:
        name, variable = field.get("name"), field.get("variable")
        if not variable:  # times and the cause come from the call itself
            value = variables.get(name)
            return value.encode() if value else None
        if kind == "integer":
            return struct.pack(">I", int(variables.get(variable) or 0) & 0xFFFFFFFF)
        if kind != "string":
            return None
        value = variables.get(variable) or variables.get(field.get("variable_secondary") or "", "")
        return field.get("format").replace("%s", value or field.get("default") or "").encode()

    def _ask(self, kind: str, code: int, body: bytes, authenticator) -> tuple[int, dict[str, str]]:
        section = {"auth": "auth_app", "acct": "acct_start"}[kind]
        params = {one.get("name"): one.get("value") for one in self.config.find(section).iterfind("connection/param")}
        result, found = TIMEOUT, {}
        for _ in range(self._servers):
            head = struct.pack(">BBH", code, os.urandom(1)[0], 20 + len(body))
            request = head + authenticator(head, body) + body
            answer = None
            for _ in range(int(params["radius_retries"]) + 1):
                self.sent.append(request)
                answer = self._exchange(kind, request)
                if answer is not None:
                    break
            if answer is None:
                continue
            result, found = self._read(request, answer)
            if result != REJECTED:
                return result, found
        return result, found

    def _signed(self, head: bytes, body: bytes) -> bytes:
        return hashlib.md5(head + bytes(16) + body + self.secret).digest()

    def _read(self, request: bytes, answer: bytes) -> tuple[int, dict[str, str]]:
        digest = hashlib.md5(answer[:4] + request[4:20] + answer[20:] + self.secret).digest()
        if answer[1] != request[1] or digest != answer[4:20]:
            return BAD_ANSWER, {}
        if answer[0] in (2, 5):
            return OK, self._attributes(answer[20:])
        return (REJECTED if answer[0] == 3 else BAD_ANSWER), {}

    def _attributes(self, body: bytes) -> dict[str, str]:
        """What becomes channel variables: nothing at all when one attribute is not in the dictionary."""
        found: dict[str, str] = {}
        while body:
            code, size = body[0], body[1]
            value, body = body[2:size], body[size:]
            vendor = 0
            if code == 26:
                vendor = int.from_bytes(value[:4], "big")
                if vendor not in self.dictionary.vendors:
                    if not body:
                        return {}
                    continue
                code, value = value[4], value[6:]
            if (vendor, code) not in self.dictionary.by_code:
                return {}
            name, kind = self.dictionary.by_code[vendor, code]
            if kind == "date":
                return {}
            if kind == "integer":
                found[name] = str(int.from_bytes(value, "big"))
            else:
                text = value.partition(b"\0")[0]
                found[name] = "".join(chr(c) if 32 <= c < 127 else f"\\{c:03o}" for c in text)
        return found


class FreeSwitch:
    """
    A FreeSWITCH that runs the shipped dialplan: calls are routed, cut, renewed and accounted.

    Args:
        clock: Seconds; `run_until` moves it and does what is scheduled on the way.
    """

    def __init__(self, module: Module, now_s: int, set_clock: Callable[[float], None]) -> None:
        self.module = module
        self.dialplan = Dialplan(module.files, "dialplan/prepaid.xml")
        self.now_s = now_s
        self._set_clock = set_clock
        self._calls = 0
        self._set_clock(now_s)

    def invite(self, number: str, context: str = "prepaid_trunk", **variables: str) -> Leg:
        """An INVITE that was let in: accounting first, then the dialplan, as the real one."""
        self._calls += 1
        leg = Leg(self, f"uuid-{self._calls}", context, variables)
        leg.route(number)
        return leg

    def run_until(self, *legs: Leg, end_s: int) -> None:
        """Let time pass second by second."""
        while self.now_s < end_s:
            self.now_s += 1
            self._set_clock(self.now_s)
            for leg in legs:
                leg.tick()


class Leg:
    """The caller's leg of one call."""

    def __init__(self, switch: FreeSwitch, uuid: str, context: str, variables: dict[str, str]) -> None:
        self.switch = switch
        self.context = context
        self.variables = {"uuid": uuid, "direction": "inbound", "sip_network_ip": "192.0.2.7", **variables}
        self.variables.setdefault("caller_id_number", "1001")
        self.answered_s: int | None = None
        self.hangup_at_s: int | None = None
        self.renew_at_s: int | None = None
        self.ended_s: int | None = None
        self.bridged = ""
        self.response = ""

    def route(self, number: str) -> None:
        """Into routing: Start, then the dialplan; also after a transfer."""
        self.variables["destination_number"] = number
        self.switch.module.account("acct_start", self.variables)
        call = self._call()
        call.route(number, self.context)
        self.bridged = call.bridged
        self.response = next((data for application, data in call.done if application == "respond"), "")
        self._scheduled(call)
        if not self.bridged:
            self.hang_up("CALL_REJECTED")

    def answer(self) -> None:
        """The called party answers: what waits for it runs."""
        self.answered_s = self.switch.now_s
        for name in sorted(name for name in self.variables if name.startswith("execute_on_answer")):
            application, _, data = self.variables[name].partition(" ")
            call = self._call()
            if application == "execute_extension":
                number, _, context = data.partition(" XML ")
                call.route(number, context)
            else:
                call.done.append((application, call.expand(data)))
            self._scheduled(call)

    def tick(self) -> None:
        """One second: the scheduled hangup, the scheduled renewal."""
        now_s = self.switch.now_s
        if self.ended_s is None and self.hangup_at_s is not None and now_s >= self.hangup_at_s:
            self.hang_up("ALLOTTED_TIMEOUT")
        if self.ended_s is None and self.renew_at_s is not None and now_s >= self.renew_at_s:
            self.renew_at_s = None
            call = self._call()
            call.route("renew", "prepaid")  # what the Lua script does as well
            self._scheduled(call)

    def hang_up(self, cause: str = "NORMAL_CLEARING") -> None:
        """The call ends: Stop, with whole seconds counted as FreeSWITCH counts them."""
        if self.ended_s is not None:
            return
        self.ended_s = self.switch.now_s
        billsec = self.ended_s - self.answered_s if self.answered_s is not None else 0
        told = {"billsec": str(billsec), "end_epoch": str(self.ended_s), "hangup_cause": cause}
        told["h323-disconnect-cause"] = "h323-disconnect-cause=" + ("322" if cause == "ALLOTTED_TIMEOUT" else "10")
        self.switch.module.account("acct_end", {**self.variables, **told})

    def _call(self) -> Call:
        def radius_auth(variables: dict[str, str]) -> None:
            variables.update(self.switch.module.authorize("auth_app", variables))

        call = Call(self.switch.dialplan, self.variables, radius_auth, lambda: self.switch.now_s)
        call.fields["destination_number"] = self.variables["destination_number"]
        return call

    def _scheduled(self, call: Call) -> None:
        for application, data in call.done:
            after = data.partition(" ")[0]
            if application == "sched_hangup":
                self.hangup_at_s = self.switch.now_s + int(after)
            elif application == "sched_api" or (application == "sched_broadcast" and "renew" in data):
                self.renew_at_s = self.switch.now_s + int(after)
