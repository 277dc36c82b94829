"""Sessions, CDRs and the ledger as operators see them."""

from __future__ import annotations

from sqlalchemy import create_engine, update

from aaa.store import tables as db
from tests.support.control import World


def test_running_sessions_are_listed_with_what_they_hold(world: World):
    """One row tells who calls where, since when, and what it costs."""
    world.apply()
    number = world.begin()
    world.now_us += 5_000_000
    (session,) = world.get("sessions")["items"]

    assert (number, "alice", "held", "4420", "UK", 5, 60, "0.600000") == (
        session["id"],
        session["account"],
        session["state"],
        session["destination"],
        session["lines"][0]["destination_name"],
        session["elapsed_s"],
        session["granted"],
        session["reserved"]["amount"],
    )
    assert [] == world.get("sessions", account="bob")["items"]


def test_an_ended_session_is_a_cdr_an_entry_and_an_explanation(world: World):
    """The same charge everywhere."""
    world.apply()
    number = world.begin()
    world.end(seconds=30)
    (cdr,) = world.get("cdrs")["items"]
    entry = world.get("accounts/alice/entries")["items"][0]
    (explained,) = world.get(f"cdrs/{number}/explain")

    assert ("0.300000", 30, "alice", number) == (cdr["amount"]["amount"], cdr["used"], cdr["account"], cdr["id"])
    assert ("-0.300000", "charge", number) == (entry["amount"]["amount"], entry["cause"], entry["ref"])
    assert ("0.300000", 300_000) == (explained["price"]["amount"], explained["lines"]["amount_micro"])
    assert [entry] == world.get(f"accounts/alice/entries/{number}")
    assert [] == world.get("sessions")["items"]
    assert [number] == [session["id"] for session in world.get("sessions", state="closed")["items"]]


def test_settling_by_hand_is_what_the_deadline_would_do(world: World):
    """Nothing was reported, so nothing is charged, and the hold is gone."""
    world.apply()
    number = world.begin()
    settled = world.api.post(f"/v1/sessions/{number}/settle")
    again = world.api.post(f"/v1/sessions/{number}/settle")

    assert (200, "expired") == (settled.status_code, settled.json()["state"])
    assert 409 == again.status_code
    assert "0.000000" == world.get("accounts/alice/balance")["reserved"]["amount"]


def test_killing_marks_the_session(world: World):
    """It gets no more quota; its Stop settles it with the cause."""
    world.apply()
    number = world.begin()
    killed = world.api.post(f"/v1/sessions/{number}/kill")
    world.end(seconds=10)

    assert (200, "killed") == (killed.status_code, killed.json()["cause"])
    assert "killed" == world.get("cdrs")["items"][0]["cause"]


def test_cdrs_page_and_stream(world: World):
    """Cursor pages and the CSV stream hold the same CDRs, each once."""
    world.apply()
    for n in range(5):
        world.begin(f"call-{n}")
        world.end(f"call-{n}", seconds=n + 1)
    paged, after = [], "0.0"
    while after is not None:
        page = world.get("cdrs", after=after, limit=2)
        paged += [cdr["id"] for cdr in page["items"]]
        after = page["next"]
    csv = world.api.get("/v1/cdrs.csv").text.splitlines()
    jsonl = world.api.get("/v1/cdrs.jsonl").text.splitlines()

    assert 5 == len(set(paged)) == len(paged) == len(jsonl)
    assert paged == [line.split(",")[0] for line in csv[1:]]


def test_verify_proves_a_sound_ledger(world: World):
    """Sums of entries, balances and reservations agree, while a call runs."""
    world.apply()
    world.begin("a")
    world.end("a", seconds=30)
    world.begin("b")
    proof = world.get("ledger/verify")
    euro = proof["currencies"]["EUR"]

    assert (0, "9.700000", "9.700000", "0.600000", "0.600000") == (
        proof["mismatches"],
        euro["entries"],
        euro["balances"],
        euro["reservations"],
        euro["reserved"],
    )


def test_verify_finds_every_kind_of_damage(world: World):
    """An edited amount, a lost session, a wrong hold: each is named with its account (L6)."""
    world.apply()
    world.begin("a")
    world.end("a", seconds=30)
    world.begin("b")
    engine = create_engine(world.context.config.store.url)
    with engine.begin() as connection:
        connection.execute(update(db.ledger_entry).where(db.ledger_entry.c.entry_no == 2).values(amount=-1))
        connection.execute(update(db.account).where(db.account.c.name == "bob").values(reserved=5, live_sessions=1))
    engine.dispose()
    broken = {
        (row["account"], row["check"]): (row["expected"], row["found"]) for row in world.get("ledger/verify")["broken"]
    }

    assert {
        ("alice", "balance"): (9_999_999, 9_700_000),
        ("alice", "entry_chain"): (0, 1),
        ("alice", "cdr_entries"): (0, 1),
        ("bob", "reserved"): (0, 5),
        ("bob", "live_sessions"): (0, 1),
    } == broken


def test_verify_goes_through_the_accounts_in_ranges(world: World):
    """A million accounts are checked in bounded steps."""
    world.apply()
    checked, after = 0, "0"
    while after is not None:
        proof = world.get("ledger/verify", after=after, limit=2)
        checked += proof["accounts"]
        after = proof["next"]

    assert checked == len(world.get("accounts")["items"])


def test_explain_prices_before_the_call(world: World):
    """The same price function, with the number as that client dials it (S22)."""
    world.apply()
    told = world.get("rate/explain", account="alice", destination="0207", units=90, nas="sbc")
    quoted = world.get("rate/quote", tariff="retail", destination="44", units=90)

    assert ("44207", "0.900000", 1000) == (told["destination"], told["price"]["amount"], told["affordable"])
    assert told["price"] == quoted["price"]
    assert "UK" in told["text"]


def test_a_date_is_its_midnight_in_utc(world):
    """Searching by day needs no clock time; what is no time, or beyond all reckoning, is refused with the key."""
    world.apply()
    world.begin()
    world.end(seconds=10)  # on 2026-09-21
    found = [len(world.get("cdrs", since=since)["items"]) for since in ("2026-09-21", "2026-09-22")]
    refused = [
        world.api.get("/v1/cdrs", params={"since": since})
        for since in ("2026-09-21T00:00:00", "yesterday", "0001-01-01T00:00:00+10:00")
    ]

    assert [1, 0] == found
    assert [422] * 3 == [answer.status_code for answer in refused]
    assert all(answer.json()["detail"].startswith("since: ") for answer in refused)
