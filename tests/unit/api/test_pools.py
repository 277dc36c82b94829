"""Operators see whose money an account spends, and move it where it is spent."""

from __future__ import annotations

from aaa.api import transfers
from tests.support.control import FILE, World
from tests.unit.api.test_rerating import rerate
from tests.unit.api.test_vouchers import batch, redeem

MEMBER = '[[account]]\nid = "carol"\ncurrency = "EUR"\ntariff = "retail"\npool = "alice"\n'


def test_an_account_names_its_pool_and_what_is_left_there(world: World):
    world.apply(FILE + MEMBER)
    world.begin(account="carol")
    shown, own = world.get("accounts/carol"), world.get("accounts/alice")
    balance = world.get("accounts/carol/balance")

    assert ("alice", "0.000000", "0.600000", "9.400000") == (
        shown["pool"],
        *(shown[key]["amount"] for key in ("balance", "reserved", "available")),
    )
    assert (None, "10.000000", "0.600000", "9.400000") == (
        own["pool"],
        *(own[key]["amount"] for key in ("balance", "reserved", "available")),
    )
    assert ("alice", "10.000000", "9.400000") == (
        balance["pool"],
        *(balance[key]["amount"] for key in ("balance", "available")),
    )
    assert ["carol"] == [each["id"] for each in world.get("accounts", pool="alice")["items"]]
    assert {"alice": None, "bob": None, "carol": "alice"}.items() <= {
        each["id"]: each["pool"] for each in world.get("accounts")["items"]
    }.items()


def test_what_runs_is_counted_once(world: World):
    """Neither the status nor the live page adds up what a member and its pool both hold."""
    world.apply(FILE + MEMBER)
    world.begin("a", account="carol")
    world.begin("b", account="alice")
    sums = world.get("status")["sessions"]["EUR"]
    live = world.get("live")

    assert (2, "1.200000") == (sums["live"], sums["reserved"]["amount"])
    assert ["1.200000"] == [each["reserved"]["amount"] for each in live["currencies"]]
    assert [("alice", "8.800000"), ("carol", "8.800000")] == sorted(
        (each["account"], each["available"]["amount"]) for each in live["sessions"]
    )


def test_a_voucher_of_a_member_fills_the_pool(world: World):
    world.apply(FILE + MEMBER)
    pin = batch(world)[0]["pin"]
    first, again = (redeem(world, "carol", pin).json() for _ in range(2))

    assert ("carol", "alice", "15.000000", False) == (
        *(first[key] for key in ("account", "pool")),
        first["balance"]["amount"],
        first["repeated"],
    )
    assert again["repeated"]
    assert 0 == world.get("ledger/verify")["mismatches"]


def test_the_entry_of_a_call_is_found_at_who_paid_even_after_the_member_left(world: World):
    world.apply(FILE + MEMBER)
    number = world.begin(account="carol")
    world.end(account="carol")
    for _ in range(2):
        (entry,) = world.get(f"accounts/carol/entries/{number}")
        assert ("-0.300000", "charge") == (entry["amount"]["amount"], entry["cause"])
        assert 200 == world.api.patch("/v1/accounts/carol", json={"pool": None}).status_code


def test_a_wrong_price_is_corrected_at_who_paid(world: World):
    """The member has left meanwhile: what was taken from the pool goes back there."""
    world.apply(FILE + MEMBER)
    world.begin(account="carol")
    world.end(account="carol")
    world.now_us += 10_000_000
    world.apply(FILE.replace('price = "0.60"', 'price = "0.20"'))
    world.api.patch("/v1/accounts/carol", json={"pool": None})
    assert 200 == rerate(world, 2, post=True, reason="wrong").status_code

    assert "9.900000" == world.get("accounts/alice")["balance"]["amount"]
    assert [] == rerate(world, 2).json()["items"]
    assert 0 == world.get("ledger/verify")["mismatches"]


def test_a_transfer_cut_in_half_reaches_a_receiver_that_joined_a_pool(world: World):
    world.apply()
    alice, bob = (world.store.account_id(name) for name in ("alice", "bob"))
    world.store.provision(
        lambda connection: connection.exec_driver_sql(
            f"INSERT INTO idempotency VALUES ('transfer-out:k:{alice}:{bob}', '-', '{{\"amount\": -1000000}}', 0)"
        )
    )
    world.apply('[[account]]\nid = "bob"\npool = "alice"\n')

    assert (1, 0) == (transfers.complete(world.context), transfers.complete(world.context))
    assert "11.000000" == world.get("accounts/alice")["balance"]["amount"]
