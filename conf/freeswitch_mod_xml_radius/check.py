#!/usr/bin/env python3
"""
Checks an edited copy of this directory: `python3 check.py [DIRECTORY]`.

Looks for what would cost money: a dialplan that lets a call out without a grant, another context that does, a profile
that lets strangers in, a missing hangup or renewal, an answer attribute that the client's dictionary does not name,
fields that do not name the call.
Exit code 0: nothing found; 8: problems, one line each; 2: the directory cannot be read.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).parent))
from dialplan_walk import Call, Dialplan, Files

CONFIG, DICTIONARY = "autoload_configs/xml_radius.conf.xml", "radius/dictionary"
DIALPLAN = "dialplan/prepaid.xml"
DEMO_SECRET = "testing123"  # noqa: S105 - the secret everybody knows
# What a SIP profile needs so that nobody reaches the dialplan unknown or takes a call elsewhere.
PROFILES = {
    "prepaid_subscribers": {"context": "prepaid_subscribers", "auth-calls": "true", "disable-transfer": "true"},
    "prepaid_trunk": {"context": "prepaid_trunk", "apply-inbound-acl": None, "disable-transfer": "true"},
}
NAME_MAX, SECRET_MAX = 32, 48
TYPES = ("string", "integer", "ipaddr", "date")
CONTEXTS = ("prepaid_subscribers", "prepaid_trunk")
# What the server's `freeswitch` profile may put into an answer.
ANSWERED = {
    (0, 18): "Reply-Message",
    (0, 27): "Session-Timeout",
    (0, 33): "Proxy-State",
    (0, 80): "Message-Authenticator",
    (0, 85): "Acct-Interim-Interval",
    (0, 89): "Chargeable-User-Identity",
    (9, 1): "Cisco-AVPair",
    (9, 101): "h323-credit-amount",
    (9, 102): "h323-credit-time",
    (9, 103): "h323-return-code",
    (9, 110): "h323-currency",
}
# Attributes each section has to send, with the variable that fills it (None: any).
NEEDED = {
    "auth_reg": {"Digest-Username": "sip_auth_username", "Digest-Response": "sip_auth_response"},
    "auth_invite": {"Digest-Username": "sip_auth_username", "Digest-Response": "sip_auth_response"},
    "auth_app": {"Acct-Session-Id": "uuid", "Called-Station-Id": "prepaid_called", "Acct-Session-Time": None},
    "acct_start": {"Acct-Session-Id": "uuid"},
    "acct_end": {"Acct-Session-Id": "uuid", "Acct-Session-Time": "billsec"},
}
CONNECTION = ("radius_timeout", "radius_retries", "radius_deadtime", "dictionary", "seqfile")
FROM_CALLER = ("sip_from_user", "sip_to_user", "caller_id_name", "caller_id_number", "destination_number")
# What radius_auth may leave on the channel, and whether the call may go out then.
OUTCOMES: list[tuple[str, dict[str, str], bool]] = [
    ("the request could not be built", {}, False),
    ("a bad answer (-2)", {"radius_auth_result": "-2"}, False),
    ("a local error (-1)", {"radius_auth_result": "-1"}, False),
    ("a timeout (1)", {"radius_auth_result": "1"}, False),
    ("a reject (2)", {"radius_auth_result": "2"}, False),
    ("an accept whose attributes were dropped", {"radius_auth_result": "0"}, False),
    ("a grant of 0", {"radius_auth_result": "0", "h323-credit-time": "0"}, False),
    ("a negative grant", {"radius_auth_result": "0", "h323-credit-time": "-1"}, False),
    ("a grant that is no number", {"radius_auth_result": "0", "h323-credit-time": "soon"}, False),
    ("a reject beside an old grant", {"radius_auth_result": "2", "h323-credit-time": "60"}, False),
    ("a grant of 60 s", {"radius_auth_result": "0", "h323-credit-time": "60", "Acct-Interim-Interval": "48"}, True),
]


def check(root: Path) -> list[str]:
    """Return every problem of a directory, each with its file."""
    files = Files(root)
    names, problems = read_dictionary(root / DICTIONARY)
    problems += check_config(files, names)
    problems += check_dialplan(Dialplan(files, DIALPLAN))
    problems += check_other_ways(files)
    problems += check_profiles(files)
    problems += check_directory(files)
    return [f"vars.xml: {name} is not set" for name in sorted(files.unset) if name.startswith("prepaid_")] + problems


def read_dictionary(path: Path) -> tuple[dict[str, str], list[str]]:
    """Return attribute types by name, and what is wrong with the dictionary."""
    vendors: dict[str, int] = {}
    types: dict[str, str] = {}
    codes: dict[tuple[int, int], str] = {}
    problems = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        words = line.partition("#")[0].split()
        where = f"{DICTIONARY}:{number}"
        if words[:1] == ["VENDOR"] and len(words) >= 3:
            vendors[words[1]] = int(words[2])
        elif words[:1] == ["ATTRIBUTE"] and len(words) >= 4:
            name, code, kind = words[1:4]
            vendor = next((word.removeprefix("vendor=") for word in words[4:]), "")
            if vendor and vendor not in vendors:
                problems.append(f"{where}: {name}: no VENDOR line for {vendor}")
            if len(name) > NAME_MAX:
                problems.append(f"{where}: {name}: longer than {NAME_MAX} characters, the module will not load it")
            if kind not in TYPES:
                problems.append(f"{where}: {name}: type {kind}, the client knows {', '.join(TYPES)}")
            types[name] = kind
            codes[vendors.get(vendor, 0), int(code)] = name
            if kind == "date" and (vendors.get(vendor, 0), int(code)) in ANSWERED:
                problems.append(f"{where}: {name}: type date drops every answer that holds it, write integer")
    for key, name in ANSWERED.items():
        if key not in codes:
            problems.append(
                f"{DICTIONARY}: {name} is missing: an answer with it loses its grant and counts as accepted"
            )
        elif codes[key] != name:
            problems.append(f"{DICTIONARY}: {codes[key]}: the dialplan reads it as {name}")
    return types, problems


def check_config(files: Files, types: dict[str, str]) -> list[str]:
    """Check xml_radius.conf.xml: sections, connections, fields, conditions."""
    try:
        config = files.read(CONFIG)
    except ElementTree.ParseError as error:
        return [f"{CONFIG}: {error}"]
    problems = []
    for name, needed in NEEDED.items():
        sections = config.findall(name)
        if len(sections) != 1:
            problems.append(f"{CONFIG}: {name}: {len(sections)} sections, expected one; only the first is used")
            continue
        problems += [f"{CONFIG}: {name}: {text}" for text in _check_section(sections[0], name, needed, types)]
    return problems


def _check_section(
    section: ElementTree.Element, name: str, needed: dict[str, str | None], types: dict[str, str]
) -> list[str]:
    problems = []
    params = {param.get("name"): param.get("value", "") for param in section.iterfind("connection/param")}
    server = "acctserver" if name.startswith("acct") else "authserver"
    for key in (server, *CONNECTION):
        if not params.get(key):
            problems.append(f"connection has no {key}, the module will not load")
    secret = params.get(server, "").rpartition(":")[2]
    if len(secret) > SECRET_MAX or re.search(r"[\s,]", secret):
        problems.append(f"the secret has more than {SECRET_MAX} characters, or a blank or comma")
    if secret == DEMO_SECRET and not params.get(server, "").startswith("127."):
        problems.append(f"the secret is still {DEMO_SECRET}, which the server takes from its own machine only")
    wait_s = int(params.get("radius_timeout") or 0) * (int(params.get("radius_retries") or 0) + 1)
    if wait_s > 9:
        problems.append(f"an outage blocks every request for {wait_s} s: lower radius_timeout or radius_retries")
    sent: dict[str, str | None] = {}
    for field in section.iterfind("fields/param"):
        attribute, variable = field.get("name", ""), field.get("variable")
        sent.setdefault(attribute, variable)
        kind = types.get(attribute)
        if kind is None:
            problems.append(f"{attribute} is not in the dictionary, the module will not load")
        elif kind not in ("string", "integer"):
            problems.append(f"{attribute} has type {kind}: it is silently not sent")
        if variable and not field.get("format"):
            problems.append(f"{attribute} has no format")
        if field.get("vendor") and variable in FROM_CALLER:
            problems.append(f"{attribute} takes {variable}, a caller's text: too long, it sends a broken packet")
    for attribute, variable in needed.items():
        if attribute not in sent:
            problems.append(f"{attribute} is not sent")
        elif variable and sent[attribute] != variable:
            problems.append(f"{attribute} is filled from {sent[attribute]}, expected {variable}")
    if name.startswith("acct"):
        conditions = [param.get("regex") for param in section.iterfind("conditions/condition/param")]
        if "^inbound$" not in conditions:
            problems.append("no condition direction = inbound: both legs are accounted")
    return problems


def check_dialplan(dialplan: Dialplan) -> list[str]:
    """Send a call through every context with every outcome, and see whether it gets out."""
    problems = []
    for context in CONTEXTS:
        if context not in dialplan.contexts:
            problems.append(f"dialplan: no context {context}")
            continue
        for story, outcome, may_go in OUTCOMES:
            call = dialled(dialplan, context, outcome)
            if bool(call.bridged) is not may_go:
                problems.append(f"dialplan: {context}: after {story} the call {'is lost' if may_go else 'GOES OUT'}")
            again = dialled(dialplan, context, outcome, **old_grant())
            if again.bridged and not may_go:
                problems.append(f"dialplan: {context}: transferred, after {story} the call GOES OUT on its old grant")
        granted = dialled(dialplan, context, OUTCOMES[-1][1])
        if granted.asked != 1:
            problems.append(f"dialplan: {context}: asks {granted.asked} times for one call, expected once")
        problems += [f"dialplan: {context}: {text}" for text in _check_end(dialplan, granted)]
    return problems


def _check_end(dialplan: Dialplan, granted: Call) -> list[str]:
    """Check that a call that went out is cut, and renewed while the server says so."""
    problems = []
    on_answer = [value for key, value in sorted(granted.variables.items()) if key.startswith("execute_on_answer")]
    if not any(value.startswith("sched_hangup +60 ") for value in on_answer):
        problems.append("a grant of 60 s schedules no hangup at 60 s: the call runs on unpaid")
    if not any(value.startswith("execute_extension answered ") for value in on_answer):
        return [*problems, "nothing runs at the answer: the grant is never renewed"]
    granted.done = []
    granted.route("answered", "prepaid")
    scheduled = [f"{application} {data}" for application, data in granted.done if application.startswith("sched_")]
    if not any("+48 " in one and ("luarun" in one or "execute_extension" in one) for one in scheduled):
        problems.append("Acct-Interim-Interval is not used: the grant is never renewed, calls end early")
    return problems


def old_grant() -> dict[str, str]:
    """What an authorized, answered call carries when it comes through the dialplan again."""
    return {
        "prepaid_called": "4420",
        "prepaid_answer_epoch": "1699999990",
        "radius_auth_result": "0",
        "h323-credit-time": "60",
        "prepaid_seconds": "60",
    }


def dialled(dialplan: Dialplan, context: str, outcome: dict[str, str], **variables: str) -> Call:
    """Dial a number in a context, with what radius_auth will set."""
    channel = {"uuid": "u", "sip_network_ip": "192.0.2.7", "Chargeable-User-Identity": "alice", **variables}
    call = Call(dialplan, channel, lambda channel: channel.update(outcome))
    call.route("442079460001", context)
    return call


def check_other_ways(files: Files) -> list[str]:
    """Look for contexts beside ours that send calls out: whoever reaches one calls without being asked about."""
    problems = []
    for path in sorted((files.root / "dialplan").glob("*.xml")):
        name = f"dialplan/{path.name}"
        if name == DIALPLAN:
            continue
        try:
            contexts = list(files.read(name).iter("context"))
        except ElementTree.ParseError as error:
            problems.append(f"{name}: {error}")
            continue
        for context in contexts:
            if any(action.get("application") == "bridge" for action in context.iter("action")):
                shown = context.get("name", "")
                problems.append(f"{name}: context {shown}: bridges calls that RADIUS is not asked about; remove it")
    return problems


def check_profiles(files: Files) -> list[str]:
    """Check the SIP profiles: who is let into which context."""
    problems = []
    for name, needed in PROFILES.items():
        path = f"sip_profiles/{name}.xml"
        try:
            settings = {param.get("name"): param.get("value") for param in files.read(path).iter("param")}
        except (OSError, ElementTree.ParseError) as error:
            problems.append(f"{path}: {error}")
            continue
        for key, value in needed.items():
            found = settings.get(key)
            if found is None or value not in (None, found):
                problems.append(
                    f"{path}: {key} is {found or 'missing'}{'' if value is None else f', expected {value}'}"
                )
    return problems


def check_directory(files: Files) -> list[str]:
    """The static directory is asked after RADIUS said no: it has to be empty."""
    users = [user.get("id") for user in files.read("directory/default.xml").iter("user")]
    return [f"directory/default.xml: user {user}: can call after RADIUS rejected it" for user in users]


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else Path(__file__).parent
    try:
        problems = check(root)
    except (OSError, ElementTree.ParseError, ValueError) as error:
        sys.stderr.write(f"check: {error}\n")
        return 2
    for problem in problems:
        sys.stdout.write(problem + "\n")
    if not problems:
        sys.stdout.write(f"{root}: ok\n")
    return 8 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
