"""The shipped FreeSWITCH configuration, and the checker that finds what an edit broke."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from aaa.radius.profiles.freeswitch import FREESWITCH, FREESWITCH_STOCK
from tests.radius_freeswitch import CONF, Dictionary, Module
from tests.radius_vectors import captures

import check  # isort: skip - beside the configuration, on the path since the line above


def edited(tmp_path, name: str, old: str, new: str):
    root = tmp_path / "copy"
    shutil.copytree(CONF, root)
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))
    return check.check(root)


def test_the_shipped_files_pass():
    assert check.check(CONF) == []


def test_the_checker_runs_alone(tmp_path):
    script = [sys.executable, str(CONF / "check.py")]
    bad = subprocess.run([*script, str(tmp_path)], capture_output=True, text=True, check=False)
    good = subprocess.run(script, capture_output=True, text=True, check=False)

    assert (bad.returncode, good.returncode) == (2, 0)
    assert "No such file" in bad.stderr


CALL, PLAN = "dialplan/prepaid/call.inc", "dialplan/prepaid.xml"
CONFIG, DICTIONARY = "autoload_configs/xml_radius.conf.xml", "radius/dictionary"
SUBSCRIBERS, TRUNK = "sip_profiles/prepaid_subscribers.xml", "sip_profiles/prepaid_trunk.xml"
HANGUP = "execute_on_answer_1=sched_hangup +${prepaid_seconds} allotted_timeout"
SESSION = '<param variable="uuid" format="%s" name="Acct-Session-Id"/>'


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        (CALL, '<action application="radius_auth" inline="true"/>', "", "asks 0 times"),
        (CALL, HANGUP, "x=y", "schedules no hangup"),
        (CALL, HANGUP, HANGUP.replace("+${prepaid_seconds}", "+3600"), "schedules no hangup"),
        (CALL, "execute_on_answer_2=execute_extension answered XML prepaid", "x=y", "never renewed"),
        (CALL, "^[1-9]\\d{0,8}$", "^x$", "after a grant of 60 s the call is lost"),
        (PLAN, "${Acct-Interim-Interval}", "${Session-Timeout}", "Acct-Interim-Interval is not used"),
        (PLAN, '<context name="prepaid_trunk">', '<context name="trunk">', "no context prepaid_trunk"),
        (DICTIONARY, "ATTRIBUTE\tMessage-Authenticator", "#", "Message-Authenticator is missing"),
        (DICTIONARY, "ATTRIBUTE\th323-credit-time", "#", "h323-credit-time is missing"),
        (DICTIONARY, "h323-credit-time ", "credit-time      ", "the dialplan reads it as h323-credit-time"),
        (DICTIONARY, "Session-Timeout              27   integer", "Session-Timeout 27 date", "type date drops"),
        (DICTIONARY, "VENDOR\t\tCisco\t9", "", "no VENDOR line for Cisco"),
        (DICTIONARY, "User-Name  ", "User-Name-That-Is-Much-Too-Long-For-It  ", "longer than 32"),
        (CONFIG, "<auth_invite>", "<auth_other>", "mismatched tag"),
        (CONFIG, SESSION, "", "Acct-Session-Id is not sent"),
        (CONFIG, SESSION, SESSION.replace("uuid", "sip_call_id"), "filled from sip_call_id"),
        (CONFIG, 'regex="^inbound$"', 'regex=".*"', "both legs are accounted"),
        (CONFIG, '"radius_timeout" value="1"', '"radius_timeout" value="10"', "blocks every request for 30 s"),
        (CONFIG, '      <param name="radius_deadtime" value="0"/>\n', "", "no radius_deadtime"),
        (CONFIG, 'variable="prepaid_used" format="%s"', 'variable="prepaid_used"', "has no format"),
        (CONFIG, 'variable="prepaid_phase"', 'variable="sip_from_user"', "a caller's text"),
        (CONFIG, 'name="Digest-Username"', 'name="Digest-User"', "not in the dictionary"),
        (CONFIG, 'format="%s" name="Event-Timestamp"', 'format="%s" name="NAS-IP-Address"', "silently not sent"),
        ("vars.xml", "prepaid_secret=testing123", "prepaid_secret=a b", "a blank or comma"),
        ("vars.xml", "prepaid_auth_server=127.0.0.1", "prepaid_auth_server=10.0.0.1", "the secret is still testing123"),
        ("vars.xml", "prepaid_carrier=", "prepaid_carier=", "vars.xml: prepaid_carrier is not set"),
        (SUBSCRIBERS, '"auth-calls" value="true"', '"auth-calls" value="false"', "auth-calls is false, expected true"),
        (TRUNK, '<param name="apply-inbound-acl" value="trusted_trunks"/>', "", "apply-inbound-acl is missing"),
        (TRUNK, 'value="prepaid_trunk"', 'value="public"', "context is public, expected prepaid_trunk"),
        ("directory/default.xml", "<include>", '<include><user id="1001"/>', "user 1001"),
    ],
)
def test_a_harmful_edit_is_found(tmp_path, name, old, new, problem):
    assert any(problem in one for one in edited(tmp_path, name, old, new))


# The gate as a sample dialplan of the module has it: stopped by 1 and 2, everything else goes out.
OPEN = """<include>
  <extension name="ask" continue="true">
    <condition><action application="radius_auth" inline="true"/></condition>
  </extension>
  <extension name="stop">
    <condition field="${radius_auth_result}" expression="^[12]$"><action application="hangup"/></condition>
  </extension>
  <extension name="out">
    <condition field="destination_number" expression="^(\\d+)$">
      <action application="bridge" data="sofia/x/$1"/>
    </condition>
  </extension>
</include>
"""


def test_another_way_to_the_carrier_is_found(tmp_path):
    """FreeSWITCH's own sample dialplan, left in place; one that only answers is harmless."""
    shutil.copytree(CONF, tmp_path / "conf")
    for name, application in (("default", "bridge"), ("echo", "answer")):
        action = f'<extension><condition><action application="{application}" data="x"/></condition></extension>'
        text = f'<include><context name="{name}">{action}</context></include>'
        (tmp_path / f"conf/dialplan/{name}.xml").write_text(text)

    told = "dialplan/default.xml: context default: bridges calls that RADIUS is not asked about; remove it"
    assert [told] == check.check(tmp_path / "conf")


@pytest.mark.parametrize(
    "story",
    [
        "the request could not be built",
        "a bad answer (-2)",
        "a local error (-1)",
        "an accept whose attributes were dropped",
        "a grant of 0",
        "a negative grant",
    ],
)
def test_a_dialplan_that_fails_open_is_found(tmp_path, story):
    found = edited(tmp_path, CALL, (CONF / CALL).read_text(), OPEN)

    assert f"dialplan: prepaid_trunk: after {story} the call GOES OUT" in found


def test_a_dialplan_that_keeps_an_old_grant_for_a_transfer_is_found(tmp_path):
    """Captures 37 and 38: a transfer reached a second number under the first number's grant."""
    forgets = "\n".join(line for line in (CONF / CALL).read_text().splitlines() if '"unset"' not in line)
    found = edited(tmp_path, CALL, (CONF / CALL).read_text(), forgets)

    assert any("transferred" in one and "GOES OUT on its old grant" in one for one in found)


def test_the_dictionary_names_all_that_the_profile_may_answer():
    named = {(vendor << 8) | code for vendor, code in Dictionary(CONF / "radius/dictionary").by_code}

    assert FREESWITCH.takes <= named
    assert FREESWITCH.takes == {(vendor << 8) | code for vendor, code in check.ANSWERED}
    assert FREESWITCH_STOCK.takes < FREESWITCH.takes


def test_the_simulated_client_sends_what_the_real_one_appends():
    """The library's own attributes, in its order, at the end (captures 30-39)."""
    real = next(c for c in captures() if c["capture"].startswith("30") and c["code"] == 1)
    module = Module(lambda kind, data: None, b"testing123")
    module.authorize("auth_app", {"uuid": "u", "prepaid_called": "4420"})

    assert module.sent[0].endswith(bytes.fromhex(real["hex"])[-18:])
    assert len(set(module.sent)) == 1 and len(module.sent) == 3


def test_the_simulated_client_drops_everything_at_one_unknown_attribute():
    module = Module(lambda kind, data: None, b"s")

    assert module._attributes(b"\x1b\x06\0\0\0\x3c") == {"Session-Timeout": "60"}
    assert module._attributes(b"\x1b\x06\0\0\0\x3c" + b"\xf0\x03x") == {}
    assert module._attributes(b"\x1b\x06\0\0\0\x3c" + b"\x1a\x09\0\0\x39\x8c\x01\x03x") == {}
    assert module._attributes(b"\x1a\x09\0\0\x39\x8c\x01\x03x" + b"\x1b\x06\0\0\0\x3c") == {"Session-Timeout": "60"}
