"""A voucher tops up once, and its PIN cannot be guessed."""

from __future__ import annotations

import pytest

from aaa.api.housekeeping import date_cards, find_cards
from aaa.api.shapes import instant
from aaa.engine.commands import Begin, Identity, LineRequest
from aaa.engine.terms import ChargeKey, Policy, Reason
from tests.support.control import FILE, World

CARD = """
[[account]]
id = "card"
currency = "EUR"
tariff = "retail"
opening_balance = "5"
valid_after_use = "7d"
"""


def batch(world: World, name: str = "b1", count: int = 3, **more: str) -> list[dict]:
    body = {"batch": name, "count": count, "amount": "5.00", "currency": "EUR", **more}
    made = world.api.post("/v1/vouchers", json=body)
    assert 201 == made.status_code, made.text
    return made.json()


def redeem(world: World, account: str, pin: str):
    return world.api.post(f"/v1/accounts/{account}/vouchers", json={"pin": pin})


def test_a_voucher_is_redeemed_once(world: World):
    """Again for the same account: the same answer; for another: a conflict."""
    world.apply()
    voucher = batch(world)[0]
    first, again, other = (redeem(world, name, voucher["pin"]) for name in ("alice", "alice", "bob"))

    assert (False, "15.000000") == (first.json()["repeated"], first.json()["balance"]["amount"])
    assert (True, "15.000000") == (again.json()["repeated"], again.json()["balance"]["amount"])
    assert 409 == other.status_code
    assert ("used", "alice") == tuple(world.get(f"vouchers/{voucher['serial']}")[key] for key in ("state", "account"))
    assert "voucher" == world.get("accounts/alice/entries")["items"][0]["cause"]


def test_a_crash_after_marking_is_completed_by_redeeming_again(world: World):
    """Used but not paid: the key of the movement makes it exactly once."""
    world.apply()
    voucher = batch(world)[0]
    alice = world.store.account_id("alice")
    world.store.provision(
        lambda connection: connection.exec_driver_sql(
            f"UPDATE voucher SET state='used', account_id={alice} WHERE serial='{voucher['serial']}'"
        )
    )

    assert "15.000000" == redeem(world, "alice", voucher["pin"]).json()["balance"]["amount"]


def test_pins_are_stored_as_keyed_hashes(world: World):
    """The database does not contain them."""
    world.apply()
    pins = [voucher["pin"] for voucher in batch(world, count=20)]
    dump = "\n".join(world.store._db.iterdump())

    assert 20 == len(set(pins))
    assert not any(pin in dump for pin in pins)


def test_guessing_is_locked_after_five_wrong_pins(world: World):
    """Even the right PIN has to wait then."""
    world.apply()
    voucher = batch(world)[0]
    wrong = [redeem(world, "alice", f"00000{n}").status_code for n in range(5)]
    locked = redeem(world, "alice", voucher["pin"])
    world.now_us += 61_000_000
    later = redeem(world, "alice", voucher["pin"])

    assert ([404] * 5, 403, "locked", 200) == (wrong, locked.status_code, locked.json()["code"], later.status_code)


@pytest.mark.parametrize(("change", "code"), [("block", 409), ("expire", 422), ("currency", 422)])
def test_what_is_blocked_expired_or_foreign_is_refused(world: World, change, code):
    """Each with its reason, and no money moves."""
    world.apply()
    more = {"expires_at": "2027-01-01T00:00:00Z"} if change == "expire" else {}
    more |= {"currency": "USD"} if change == "currency" else {}
    voucher = batch(world, **more)[0]
    if change == "block":
        assert 200 == world.api.post(f"/v1/vouchers/{voucher['serial']}/block").status_code
    world.now_us += 10**14 if change == "expire" else 0

    assert code == redeem(world, "alice", voucher["pin"]).status_code
    assert "10.000000" == world.get("accounts/alice/balance")["balance"]["amount"]


def test_a_batch_is_made_once(world: World):
    """Its name is taken afterwards."""
    world.apply()
    batch(world)

    assert (
        409
        == world.api.post(
            "/v1/vouchers", json={"batch": "b1", "count": 1, "amount": "1", "currency": "EUR"}
        ).status_code
    )
    assert 3 == len(world.get("vouchers", batch="b1")["items"])


def test_a_voucher_extends_the_validity_of_its_account(world: World):
    """From now when there was no last day, from the last day when there was; once, however often it is redeemed."""
    world.apply()
    body = {"batch": "x", "count": 2, "amount": "5.00", "currency": "EUR", "extends": "30d"}
    first, second = [made["pin"] for made in world.api.post("/v1/vouchers", json=body).json()]
    for pin in (first, first, second):
        assert 200 == world.api.post("/v1/accounts/bob/vouchers", json={"pin": pin}).status_code

    until = world.now_us + 60 * 86_400 * 1_000_000
    assert instant(until) == world.get("accounts/bob")["valid_until"]


def test_a_card_expires_some_time_after_its_first_use(world: World):
    """Unused it keeps; the first session gives it its last day, which another session does not move."""
    world.apply(FILE)
    world.apply(CARD)
    assert 0 == date_cards(world.context)
    world.begin("c1", account="card")
    used_us = world.now_us
    world.end("c1")
    assert 1 == date_cards(world.context)
    world.begin("c2", account="card")
    world.end("c2")

    assert (0, 0) == (date_cards(world.context), find_cards(world.context))
    assert instant(used_us + 7 * 86_400 * 1_000_000) == world.get("accounts/card")["valid_until"]
    world.now_us = used_us + 8 * 86_400 * 1_000_000
    line = LineRequest(ChargeKey(), destination="4420", received="020")
    answer = world.do(Begin("c3", Identity("begin"), Policy(), (line,), "sbc"), "card")
    assert Reason.ACCOUNT_EXPIRED == answer.reason


def test_a_card_whose_use_a_crash_forgot_is_found_at_the_next_start(world: World):
    """The sessions and CDRs of the store know it."""
    world.apply(FILE)
    world.apply(CARD)
    world.begin("c1", account="card")
    world.node.tally.first_uses.clear()

    assert (1, 0) == (find_cards(world.context), find_cards(world.context))
    assert world.get("accounts/card")["valid_until"] is not None
