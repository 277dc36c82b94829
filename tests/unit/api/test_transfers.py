"""A transfer moves money once, whole, and never money that a running call holds."""

from __future__ import annotations

from typing import Any

import pytest

from aaa.api import transfers
from aaa.api.problems import Refusal
from tests.support.control import World


def send(world: World, amount: str = "4.00", key: str = "k", **more: str) -> Any:
    body = {"payer": "alice", "receiver": "bob", "amount": amount, "idempotency_key": key, **more}
    return world.api.post("/v1/transfers", json=body)


def balances(world: World) -> tuple[str, str]:
    return tuple(world.get(f"accounts/{name}/balance")["balance"]["amount"] for name in ("alice", "bob"))  # type: ignore


def test_money_moves_once(world: World):
    """The same key again tells the same and moves nothing."""
    world.apply()
    first, again = send(world), send(world)

    assert (200, False, True) == (first.status_code, first.json()["repeated"], again.json()["repeated"])
    assert ("6.000000", "4.000000") == balances(world)
    assert 0 == world.get("ledger/verify")["mismatches"]


def test_what_a_call_holds_stays(world: World):
    """10.00 less 6.00 held: 4.01 is refused, 4.00 goes."""
    world.apply()
    world.begin(seconds=600)
    refused, done = send(world, "4.01", "a"), send(world, "4.00", "b")

    assert (422, "no_credit") == (refused.status_code, refused.json()["code"])
    assert 200 == done.status_code
    assert ("6.000000", "4.000000") == balances(world)


@pytest.mark.parametrize(
    ("more", "status"),
    [({"receiver": "alice"}, 422), ({"receiver": "nobody"}, 404), ({"amount": "0"}, 422), ({"amount": "-1"}, 422)],
)
def test_nonsense_is_refused(world: World, more: dict[str, str], status: int):
    """Nothing moves and the reason is told."""
    world.apply()

    assert status == send(world, **more).status_code
    assert ("10.000000", "0.000000") == balances(world)


def test_a_key_stands_for_one_transfer(world: World):
    """Another amount, or another receiver, under the same key is a conflict."""
    world.apply()
    send(world)
    turned = world.api.post(
        "/v1/transfers", json={"payer": "bob", "receiver": "alice", "amount": "4.00", "idempotency_key": "k"}
    )

    assert (409, 409) == (send(world, "5.00").status_code, turned.status_code)
    assert ("6.000000", "4.000000") == balances(world)


def test_a_transfer_cut_in_half_is_completed(world: World, monkeypatch: pytest.MonkeyPatch):
    """The payer has paid, the receiver got nothing: the next start credits it, once."""
    world.apply()
    submit = type(world.context).submit

    def crashed(context, command, account_id):
        if command.amount_micro > 0:
            raise Refusal(503, "crashed")
        return submit(context, command, account_id)

    with monkeypatch.context() as patch:
        patch.setattr(type(world.context), "submit", crashed)
        assert 503 == send(world).status_code
    half = balances(world)

    assert ("6.000000", "0.000000") == half
    assert (1, 0) == (transfers.complete(world.context), transfers.complete(world.context))
    assert ("6.000000", "4.000000") == balances(world)
    assert send(world).json()["repeated"]


def test_a_refused_transfer_gives_nothing_to_the_receiver(world: World):
    """Denied at the payer, and `complete` finds nothing to complete."""
    world.apply()
    assert 422 == send(world, "11.00").status_code
    assert 0 == transfers.complete(world.context)
    assert ("10.000000", "0.000000") == balances(world)
