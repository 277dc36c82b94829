"""Every metric that operators are promised is there, and tells what really happened."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from tests.support.process import NAS, Aaad, provisioned
from tests.support.wire import START, STOP, access_request, accounting_request

PROMISED = {
    "aaa_build_info",
    "aaa_charged_amount",
    "aaa_charges",
    "aaa_config_last_reload_success_timestamp_seconds",
    "aaa_config_reloads",
    "aaa_dynauth_requests",
    "aaa_exposure_amount",
    "aaa_granted_seconds",
    "aaa_grants",
    "aaa_overrun",
    "aaa_overspend_amount",
    "aaa_radius_dropped",
    "aaa_radius_duplicates",
    "aaa_radius_request_duration_seconds",
    "aaa_radius_requests",
    "aaa_radius_responses",
    "aaa_reactor_lag_seconds",
    "aaa_reply_cache_entries",
    "aaa_reply_cache_evictions",
    "aaa_reservations_expired",
    "aaa_reserved_amount",
    "aaa_sessions_active",
    "aaa_sessions_ended",
    "aaa_sessions_started",
    "aaa_settlement_late",
    "aaa_store_conflicts",
    "aaa_store_transaction_seconds",
    "aaa_store_up",
    "aaa_tariff_version_info",
    "aaa_used_seconds",
}


def test_a_call_is_in_the_metrics(aaad: Callable[..., Aaad]):
    """One call of 31 s after a grant of 30, one refusal, one repeat, one packet of a stranger's making."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = aaad(f'{NAS}quantum = "fixed"\nquantum_fixed = "30s"\n[metrics]\nlisten = "127.0.0.1:{port}"\n')
    server.apply(provisioned({"alice": "10.00", "poor": "0.00"}))
    access = access_request("alice", "alice", "s1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        for _ in range(2):
            client.sendto(access, ("127.0.0.1", server.ports["auth"]))
            client.recv(4096)
    server.ask(accounting_request(START, "s1", User_Name="alice"), "acct")
    server.ask(accounting_request(STOP, "s1", 31, User_Name="alice"), "acct")
    server.ask(access_request("poor", "poor", "s2"))
    server.ask(access_request("alice", "alice", "s3"))
    server.ask(b"\x01", timeout_s=0.1)

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value for family in families for sample in family.samples
    }

    assert set() == PROMISED - {family.name for family in families}
    assert {
        ("aaa_grants_total", "granted", "voice"): 2,
        ("aaa_grants_total", "denied_no_credit", "voice"): 1,
        ("aaa_sessions_started_total", "voice"): 2,
        ("aaa_sessions_ended_total", "normal"): 1,
        ("aaa_sessions_active", "radius", "voice"): 1,
        ("aaa_granted_seconds_total", "voice"): 31,
        ("aaa_used_seconds_total", "voice"): 31,
        ("aaa_charges_total", "EUR", "voice"): 1,
        ("aaa_charged_amount_total", "EUR", "voice"): 0.31,
        ("aaa_overrun_total", "overrun"): 1,
        ("aaa_overspend_amount_total", "grant"): 0,
        ("aaa_reserved_amount", "EUR"): 0.3,
        ("aaa_radius_duplicates_total", "test"): 1,
        ("aaa_radius_requests_total", "access", "test"): 3,
        ("aaa_radius_responses_total", "accept", "granted", "test"): 2,
        ("aaa_radius_request_duration_seconds_count", "accept", "granted"): 2,
        ("aaa_radius_dropped_total", "length"): 1,
        ("aaa_store_up",): 1,
    }.items() <= found.items()
    assert found["aaa_store_transaction_seconds_count", "batch"] >= 4
