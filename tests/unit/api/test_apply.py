"""Applying through the API: whole, once, with the reasons when refused."""

from __future__ import annotations

import json

from aaa.provision import parse
from tests.support.control import FILE, World


def test_applying_twice_credits_once(world: World):
    """Opening balances are posted by the node under their idempotency key."""
    first = world.apply()
    second = world.apply()

    assert (5, 0, 0, 1) == tuple(first[key] for key in ("created", "changed", "unchanged", "openings"))
    assert (0, 0, 5, 0) == tuple(second[key] for key in ("created", "changed", "unchanged", "openings"))
    assert {"amount": "10.000000", "currency": "EUR"} == world.get("accounts/alice/balance")["balance"]


def test_a_dry_run_changes_nothing(world: World):
    """The preview tells what would be done."""
    preview = world.apply(dry_run=True)

    assert (5, True) == (preview["created"], preview["dry_run"])
    assert "alice" not in [account["id"] for account in world.get("accounts")["items"]]


def test_a_bad_file_is_refused_whole_with_every_reason(world: World):
    """Nothing is half-applied; file, line, table and key are in the answer."""
    bad = FILE.replace('price = "0.60"', "price = 0.60").replace('id = "bob"', 'id = "bob"\nlimit = 3')
    answer = world.api.post("/v1/apply", json={"text": bad, "file": "a.toml"})
    messages = [error["message"] for error in answer.json()["errors"]]

    assert (422, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
    assert any(message.startswith("a.toml:8: [[tariff.rate]] price: ") for message in messages), messages
    assert any(message.startswith("a.toml:23: [[account]] limit: unknown key") for message in messages), messages
    assert 404 == world.api.get("/v1/accounts/alice").status_code


def test_what_contradicts_the_store_names_its_line(world: World):
    """The second pass has lines too."""
    answer = world.api.post(
        "/v1/apply", json={"text": FILE.replace('tariff = "retail"', 'tariff = "gold"', 1), "file": "f"}
    )

    assert "f:14: [[account]] tariff: unknown tariff gold" == answer.json()["errors"][0]["message"]


def test_large_files_report_progress(world: World, monkeypatch):
    """Parts of a large file are transactions of their own; the last line is the result."""
    monkeypatch.setattr(parse, "OBJECTS_PER_TRANSACTION", 10)
    monkeypatch.setattr(parse, "OBJECTS_PER_PART", 10)
    text = FILE + "".join(
        f'[[account]]\nid = "a{n}"\ncurrency = "EUR"\ntariff = "retail"\nopening_balance = "1"\n' for n in range(25)
    )
    answer = world.api.post("/v1/apply", json={"text": text, "file": "f"}, headers={"Accept": "application/x-ndjson"})
    *progress, result = map(json.loads, answer.text.splitlines())

    assert [2, 13, 23, 30] == [line["done"] for line in progress] or 30 == progress[-1]["done"]
    assert (30, 26) == (result["created"], result["openings"])
    assert 26_000_000 + 9_000_000 == sum(
        round(float(account["balance"]["amount"]) * 1_000_000) for account in world.get("accounts")["items"]
    )


def test_a_nas_of_the_configuration_is_refused(world: World):
    """A name in both places is an error."""
    answer = world.api.post(
        "/v1/apply", json={"text": '[[nas]]\nname = "edge"\naddress = "10.0.0.9"\nsecret = "x"\n', "file": "f"}
    )

    assert "f:2: [[nas]] name: edge is in the configuration file too" == answer.json()["errors"][0]["message"]


def test_a_client_that_cannot_be_served_is_refused(world: World):
    """The RADIUS face is asked before anything is written."""
    text = '[[nas]]\nname = "n"\naddress = "10.0.0.9"\nsecret = "x"\nprofile = "fantasy"\n'
    answer = world.api.post("/v1/apply", json={"text": text, "file": "f"})

    assert answer.json()["errors"][0]["message"].startswith(
        "f:5: [[nas]] profile: no profile 'fantasy', expected one of"
    )


def test_a_large_file_is_refused_with_the_line_of_the_account(world: World, monkeypatch):
    """What only the store can tell is found while writing; running a corrected file again resumes."""
    monkeypatch.setattr("aaa.provision.large.LARGE_CHARACTERS", 100)
    world.apply()
    text = "".join(f'[[account]]\nid = "z{n}"\ncurrency = "EUR"\ntariff = "retail"\n' for n in range(5))
    bad = text + '[[account]]\nid = "z9"\ncurrency = "EUR"\ntariff = "gold"\n'
    refused = world.api.post("/v1/apply", json={"text": bad, "file": "f"})
    applied = world.apply(text)

    assert "f:21: [[account]] tariff: unknown tariff gold" == refused.json()["errors"][0]["message"]
    assert 5 == applied["created"]
