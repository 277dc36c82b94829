"""What a peer's entry makes its answers say."""

from __future__ import annotations

import pytest

from aaa.diameter import codec
from aaa.diameter.terms import Terms, terms_from
from aaa.errors import ConfigError
from tests.unit.diameter.kit import CLIENT, Ocs, ccr, read


def shown(encoded: bytes) -> dict:
    return read(codec.decode(codec.message(0, 272, 4, 1, 1, [encoded])))


@pytest.mark.parametrize(
    ("target", "kind"),
    [("192.0.2.1", 0), ("2001:db8::1", 1), ("http://topup.example/", 2), ("sip:topup@example", 3), ("tel:+49", 3)],
)
def test_the_kind_of_a_redirect_server_follows_from_how_it_is_written(target, kind):
    indication = shown(terms_from({"final_action": "redirect", "redirect_to": target}).final)
    server = {"Redirect-Address-Type": kind, "Redirect-Server-Address": target}
    assert indication["Final-Unit-Indication"] == {"Final-Unit-Action": 1, "Redirect-Server": server}


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"final_action": "redirect"}, "redirect_to"),
        ({"final_action": "restrict"}, "restriction_filters"),
        ({"redirect_to": "http://topup.example/"}, "redirect_to"),
        ({"final_action": "redirect", "redirect_to": "x", "filter_ids": ["a"]}, "filter_ids"),
    ],
)
def test_an_action_without_what_it_needs_is_refused_by_name(entry, word):
    with pytest.raises(ConfigError, match=word):
        terms_from({"origin_host": CLIENT, **entry})


def test_a_threshold_is_told_only_with_quota_that_leaves_room_for_it():
    terms = Terms(threshold_octets=1_000, holding=b"")
    assert shown(terms.of_quota("octets", 2_000, is_final=False)) == {"Volume-Quota-Threshold": 1_000}
    assert terms.of_quota("octets", 1_999, is_final=False) == b""
    assert terms.of_quota("seconds", 2_000, is_final=False) == b""
    assert shown(terms.of_quota("octets", 2_000, is_final=True)) == {"Final-Unit-Indication": {"Final-Unit-Action": 0}}


def test_what_to_do_when_nobody_answers_is_told_when_a_session_begins(tmp_path):
    ocs = Ocs(tmp_path, {"441632960001": "1.00"}, failure_handling="continue")
    asks = ("Requested-Service-Unit", {"CC-Time": 60})
    assert ocs.send(ccr("INITIAL_REQUEST", 0, asks))["Credit-Control-Failure-Handling"] == 1
    assert "Credit-Control-Failure-Handling" not in ocs.send(ccr("UPDATE_REQUEST", 1, asks))
