"""Closed CDRs are priced again under another version, and each difference is posted once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.control import FILE, World


@pytest.fixture
def dearer(world: World) -> World:
    """One call of 30 s charged 0.30 under version 1; version 2 costs twice as much, version 3 half."""
    world.apply()
    world.begin()
    world.end(seconds=30)
    for price in ("1.20", "0.30"):
        world.now_us += 10_000_000
        world.apply(FILE.replace('price = "0.60"', f'price = "{price}"'))
    return world


def rerate(world: World, version: int, **more: object) -> Any:
    return world.api.post("/v1/cdrs/rerate", json={"version": version, **more})


def balance(world: World) -> str:
    return str(world.get("accounts/alice/balance")["balance"]["amount"])


def test_a_difference_is_shown_and_nothing_moves(dearer: World):
    """0.30 became 0.60."""
    found = rerate(dearer, 2).json()
    (item,) = found["items"]

    assert ("0.300000", "0.600000", "0.300000", False) == tuple(
        item[key] if key == "posted" else item[key]["amount"] for key in ("before", "after", "difference", "posted")
    )
    assert (1, 0, None) == (found["rated"], found["skipped"], found["next"])
    assert "9.700000" == balance(dearer)
    assert [] == rerate(dearer, 1).json()["items"]


def test_posting_corrects_once_and_the_next_version_starts_from_there(dearer: World):
    """Up to 0.60, again nothing, then down to 0.15, and back to 0.30."""
    steps = []
    for version in (2, 2, 3, 1):
        assert 200 == rerate(dearer, version, post=True, reason="wrong price").status_code
        steps.append(balance(dearer))

    assert ["9.400000", "9.400000", "9.850000", "9.700000"] == steps
    assert 0 == dearer.get("ledger/verify")["mismatches"]
    assert ("cdr.rerate", "wrong price") == tuple(dearer.get("audit")["items"][0][key] for key in ("action", "reason"))


@pytest.mark.parametrize(
    ("version", "more", "status"),
    [(2, {"post": True}, 422), (99, {}, 404), (2, {"account": "nobody"}, 404)],
)
def test_what_cannot_be_rated_is_refused(dearer: World, version: int, more: dict[str, object], status: int):
    """Posting without a reason, an unknown version, an unknown account."""
    assert status == rerate(dearer, version, **more).status_code
    assert "9.700000" == balance(dearer)


def test_cdrs_of_another_tariff_are_left_alone(dearer: World):
    """A version prices the calls of its own tariff alone."""
    gold = FILE.partition("[[account]]")[0].replace('"retail"', '"gold"')
    dearer.apply(gold)
    found = rerate(dearer, 4).json()

    assert ([], 0, 1) == (found["items"], found["rated"], found["skipped"])


def test_pages_go_on_where_the_last_one_ended(dearer: World):
    """Every CDR is rated once."""
    dearer.begin("call-2")
    dearer.end("call-2", seconds=10)
    first = rerate(dearer, 2, limit=1).json()
    second = rerate(dearer, 2, limit=1, after=first["next"]).json()

    assert 2 == len({item["cdr"] for item in first["items"] + second["items"]})
