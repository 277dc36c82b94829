"""Accounts and money through the API: every movement once, every write in the audit log."""

from __future__ import annotations

import pytest

from tests.support.control import World


def test_the_balance_shows_all_figures(world: World):
    """Reserved money of a running call is not available (S1)."""
    world.apply()
    world.begin(seconds=60)
    balance = world.get("accounts/alice/balance")

    assert ("10.000000", "0.600000", "9.400000", 1) == (
        balance["balance"]["amount"],
        balance["reserved"]["amount"],
        balance["available"]["amount"],
        balance["live_sessions"],
    )


def test_a_top_up_happens_once(world: World):
    """The same key moves money once, another amount under it is a conflict (S13)."""
    world.apply()
    body = {"amount": "5.00", "idempotency_key": "k1"}
    first, second = (world.api.post("/v1/accounts/alice/topups", json=body) for _ in range(2))
    third = world.api.post("/v1/accounts/alice/topups", json=body | {"amount": "6.00"})

    assert (False, "15.000000") == (first.json()["repeated"], first.json()["balance"]["amount"])
    assert (True, "15.000000") == (second.json()["repeated"], second.json()["balance"]["amount"])
    assert (409, "conflict") == (third.status_code, third.json()["code"])


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("topups", {"amount": "-5", "idempotency_key": "k"}, 422),
        ("topups", {"amount": 5, "idempotency_key": "k"}, 422),
        ("topups", {"amount": "5"}, 422),
        ("topups", {"amount": "5", "idempotency_key": "k", "currency": "USD"}, 422),
        ("adjustments", {"amount": "-5", "idempotency_key": "k"}, 422),
        ("adjustments", {"amount": "-5", "idempotency_key": "k", "reason": "wrong bill"}, 200),
    ],
)
def test_movements_are_checked(world: World, kind, body, status):
    """Amounts are strings, corrections have reasons, currencies match."""
    world.apply()

    assert status == world.api.post(f"/v1/accounts/alice/{kind}", json=body).status_code


def test_writes_are_audited_with_actor_and_reason(world: World):
    """No silent balance edit exists."""
    world.apply()
    body = {"amount": "-1", "idempotency_key": "k", "reason": "wrong bill"}
    world.api.post("/v1/accounts/alice/adjustments", json=body)
    world.api.patch("/v1/accounts/alice", json={"status": "suspended"}, headers={"X-Reason": "fraud"})
    rows = world.get("audit")["items"]

    assert [
        ("account.update", "alice", "uid:1000", "fraud"),
        ("balance.adjust", "alice", "uid:1000", "wrong bill"),
    ] == [(row["action"], row["target"], row["actor"], row["reason"]) for row in rows[:2]]
    assert "apply" == rows[2]["action"]


def test_accounts_are_created_and_changed(world: World):
    """The JSON keys are those of the apply file."""
    world.apply()
    made = world.api.post(
        "/v1/accounts",
        json={
            "id": "carol",
            "currency": "EUR",
            "tariff": "retail",
            "credit_limit": "unlimited",
            "opening_balance": "1",
        },
    )
    again = world.api.post("/v1/accounts", json={"id": "carol", "currency": "EUR", "tariff": "retail"})
    changed = world.api.patch("/v1/accounts/carol", json={"credit_limit": "2.5", "max_sessions": 3})

    assert (201, None, "1.000000") == (made.status_code, made.json()["available"], made.json()["balance"]["amount"])
    assert 409 == again.status_code
    assert ("3.500000", 3) == (changed.json()["available"]["amount"], changed.json()["limits"]["max_sessions"])


def test_spend_windows_and_call_rates_are_set_and_lifted(world: World) -> None:
    world.apply()
    given = {"spend_per_hour": "5.00", "spend_per_day": "20", "calls_per_second": 4}
    limited = world.api.patch("/v1/accounts/alice", json=given).json()["limits"]
    lifted = world.api.patch("/v1/accounts/alice", json={"spend_per_hour": None}).json()["limits"]
    wrong = world.api.patch("/v1/accounts/alice", json={"spend_per_day": "0"})

    assert ("5.000000", "20.000000", 4) == (
        limited["spend_per_hour"]["amount"],
        limited["spend_per_day"]["amount"],
        limited["calls_per_second"],
    )
    assert (None, 4) == (lifted["spend_per_hour"], lifted["calls_per_second"])
    assert 422 == wrong.status_code


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "accounts/nobody", None, 404),
        ("PATCH", "accounts/nobody", {"status": "active"}, 404),
        ("PATCH", "accounts/alice", {"statu": "active"}, 422),
        ("PATCH", "accounts/alice", {"tariff": "gold"}, 422),
        ("POST", "accounts", {"id": "x", "currency": "EUR"}, 422),
        ("GET", "accounts/nobody/balance", None, 404),
        ("GET", "sessions/abc", None, 404),
        ("GET", "sessions/7", None, 404),
        ("POST", "sessions/7/kill", None, 404),
        ("GET", "cdrs?after=x", None, 422),
        ("GET", "cdrs?since=yesterday", None, 422),
        ("GET", "tariffs/gold", None, 404),
        ("GET", "rate/explain?account=alice&destination=999", None, 404),
        ("GET", "nothing", None, 404),
        ("PUT", "accounts", {}, 405),
    ],
)
def test_failures_are_problem_documents(world: World, method, path, body, status):
    """Scripts get a status, a code and a detail, never a traceback."""
    world.apply()
    answer = world.api.request(method, f"/v1/{path}", json=body)

    assert (status, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
    assert {"title", "status", "code", "detail"} <= answer.json().keys()


def test_lists_page_by_key(world: World):
    """Following `next` visits every account once."""
    world.apply()
    world.apply("".join(f'[[account]]\nid = "p{n:02}"\ncurrency = "EUR"\ntariff = "retail"\n' for n in range(7)))
    seen, after = [], ""
    while after is not None:
        page = world.get("accounts", after=after, limit=3)
        seen += [account["id"] for account in page["items"]]
        after = page["next"]

    assert sorted(set(seen)) == seen
    assert {"alice", "bob", "p00", "p06"} <= set(seen)


def test_identities_are_added_and_removed_without_showing_secrets(world: World):
    """A listing tells how an identity proves itself, not with what."""
    world.apply()
    put = world.api.put("/v1/accounts/bob/subscriptions", json={"type": "username", "value": "bob", "password": "p"})
    taken = world.api.put("/v1/accounts/bob/subscriptions", json={"type": "username", "value": "alice"})
    listed = world.get("accounts/bob/subscriptions")["items"]
    gone = world.api.delete("/v1/accounts/bob/subscriptions/username/bob")

    assert (200, 422, 204) == (put.status_code, taken.status_code, gone.status_code)
    assert [("username", "bob", ["clear"])] == [(row["type"], row["value"], row["proves_by"]) for row in listed]
    assert [] == world.get("accounts/bob/subscriptions")["items"]


def test_a_suspended_account_is_seen_by_the_next_decision(world: World):
    """What provisioning changes, the node forgets at once."""
    world.apply()
    world.begin("one")
    world.api.patch("/v1/accounts/alice", json={"status": "suspended"})

    assert "0" == world.begin("two")
