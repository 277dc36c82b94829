"""
Accounts join and leave pools by `apply`, and never so that money or units would be out of reach.
"""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, insert, select, update

from aaa.keys import Keys
from aaa.provision import ApplyFile, ApplyRefused, Result, parse_apply, write
from aaa.store import tables as db

NOW_US = 1_790_000_000_000_000
TARIFF = '[[tariff]]\nname = "t"\ncurrency = "EUR"\n[[tariff.rate]]\nprefix = ""\nprice = "0.01"\n'
DOLLARS = TARIFF.replace('"t"', '"d"').replace("EUR", "USD")
ALICE = '[[account]]\nid = "alice"\ncurrency = "EUR"\ntariff = "t"\npool = "family"\n'
FAMILY = '[[account]]\nid = "family"\ncurrency = "EUR"\ntariff = "t"\n'
ALONE = ALICE.replace('pool = "family"\n', "")


def apply(connection: Connection, keys: Keys, *tables: str, **options: bool) -> Result:
    file = parse_apply(TARIFF + "".join(tables), {})
    assert isinstance(file, ApplyFile), file
    return write(connection, file, keys, NOW_US, **options)


def leaving(connection: Connection, keys: Keys) -> Result:
    """What the control API does for `"pool": null`."""
    file = parse_apply(TARIFF + '[[account]]\nid = "alice"\n', {})
    assert isinstance(file, ApplyFile)
    alone = file.accounts[0].model_copy(update={"pool": None})
    alone.model_fields_set.add("pool")
    return write(connection, ApplyFile(accounts=(alone,)), keys, NOW_US)


def pool_of(connection: Connection, name: str) -> str | None:
    pool = db.account.alias()
    query = select(pool.c.name).join(db.account, db.account.c.pool_id == pool.c.id).where(db.account.c.name == name)
    return connection.execute(query).scalar()


def number(connection: Connection, name: str) -> int:
    return connection.execute(select(db.account.c.id).where(db.account.c.name == name)).scalar_one()


def a_session(connection: Connection, state: int, body: str = "[]") -> None:
    row = {"id": 1, "account_id": number(connection, "alice"), "key": "k", "origin": "n", "state": state, "deadline": 0}
    connection.execute(insert(db.session), [row | {"accrued": 0, "reserved": 0, "head": "[]", "body": body}])


def test_a_member_may_stand_before_its_pool(connection, keys):
    result = apply(connection, keys, ALICE, FAMILY)

    assert "family" == pool_of(connection, "alice")
    assert (3, 0, 0) == (result.created, result.changed, result.unchanged)


def test_applying_twice_changes_nothing(connection, keys):
    apply(connection, keys, FAMILY, ALICE)
    again = apply(connection, keys, FAMILY, ALICE)

    assert (0, 0, 3) == (again.created, again.changed, again.unchanged)


def test_joining_later_gives_the_account_a_new_version(connection, keys):
    """A node that decides on the old row must lose its version check."""
    apply(connection, keys, FAMILY, ALONE)
    version = select(db.account.c.version).where(db.account.c.name == "alice")
    before = connection.execute(version).scalar_one()
    result = apply(connection, keys, FAMILY, ALICE)

    assert (0, 1, 2) == (result.created, result.changed, result.unchanged)
    assert ["changed account alice (pool)"] == result.actions
    assert connection.execute(version).scalar_one() > before


def test_a_dry_run_finds_what_is_wrong_between_accounts_it_would_make(connection, keys):
    assert 3 == apply(connection, keys, FAMILY, ALICE, dry_run=True).created
    with pytest.raises(ApplyRefused, match="its pool family in USD"):
        dollars = FAMILY.replace('"t"', '"d"').replace("EUR", "USD")
        apply(connection, keys, DOLLARS, dollars, ALICE, dry_run=True)


@pytest.mark.parametrize(
    ("tables", "key", "reason"),
    [
        ((ALICE,), "pool", "unknown account family"),
        ((ALICE.replace("family", "alice"),), "pool", "is the account itself"),
        ((FAMILY + 'pool = "clan"\n', FAMILY.replace("family", "clan"), ALICE), "pool", "is a pool of others itself"),
        ((DOLLARS, FAMILY.replace('"t"', '"d"').replace("EUR", "USD"), ALICE), "pool", "its pool family in USD"),
        ((FAMILY + 'spend_per_hour = "1.00"\n', ALICE), "pool", "has spend_per_hour, which would not count"),
        ((FAMILY + "calls_per_second = 1\n", ALICE), "pool", "has calls_per_second, which would not count"),
        ((FAMILY + 'valid_after_use = "9d"\n', ALICE), "pool", "has valid_after_use, which would not count"),
        ((FAMILY, ALICE + 'credit_limit = "1.00"\n'), "credit_limit", "whose credit limit counts"),
        ((FAMILY, ALICE + 'opening_balance = "1.00"\n'), "opening_balance", "has money of its own"),
        ((FAMILY, ALICE + '[[account.bucket]]\nunit = "seconds"\namount = 60\n'), "bucket", "has units of its own"),
        ((FAMILY, ALICE.replace("family", "emergency"), FAMILY.replace("family", "emergency")), "pool", "has no pool"),
    ],
)
def test_what_would_be_out_of_reach_is_refused(connection, keys, tables, key, reason):
    with pytest.raises(ApplyRefused) as refused:
        apply(connection, keys, *tables)

    found = [(path[2], why) for path, why in refused.value.problems if reason in why]
    assert [key] == [each for each, _ in found]


def test_an_account_with_money_cannot_join(connection, keys):
    apply(connection, keys, FAMILY, ALONE)
    connection.execute(update(db.account).where(db.account.c.name == "alice").values(balance=1))

    with pytest.raises(ApplyRefused, match="account alice has money of its own, which nothing would spend"):
        apply(connection, keys, FAMILY, ALICE)


@pytest.mark.parametrize(("state", "body"), [(0, "[]"), (1, "[]"), (2, "[]"), (3, '[[],"debit"]')])
def test_who_may_still_be_charged_neither_joins_nor_leaves(connection, keys, state, body):
    """A running session, one that expired and may be corrected, a debit that may be refunded."""
    apply(connection, keys, FAMILY, ALONE)
    a_session(connection, state, body)
    with pytest.raises(ApplyRefused, match="account alice has sessions that run, or ended"):
        apply(connection, keys, FAMILY, ALICE)
    connection.execute(
        update(db.account).where(db.account.c.name == "alice").values(pool_id=number(connection, "family"))
    )

    with pytest.raises(ApplyRefused, match="account alice has sessions that run, or ended"):
        leaving(connection, keys)


def test_who_has_only_ended_sessions_leaves(connection, keys):
    apply(connection, keys, FAMILY, ALICE)
    a_session(connection, 3, '[[],"normal"]')
    leaving(connection, keys)

    assert pool_of(connection, "alice") is None


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (FAMILY + 'spend_per_day = "1.00"\n', "account family is a pool: spend_per_day would not count its members"),
        (FAMILY + 'pool = "bob"\n', "account family is a pool of others itself"),
        ('[[account]]\nid = "alice"\nopening_balance = "1.00"\n', "account alice has money of its own"),
        (
            '[[account]]\nid = "alice"\ncredit_limit = "unlimited"\n',
            "account alice has a pool, whose credit limit counts",
        ),
        (
            DOLLARS + FAMILY.replace('"t"', '"d"').replace("EUR", "USD"),
            "account family is a pool, its members are in EUR",
        ),
    ],
)
def test_members_and_pools_stay_what_they_are(connection, keys, table, reason):
    """What cannot be said together cannot be said one after the other either."""
    apply(connection, keys, FAMILY, ALICE, FAMILY.replace("family", "bob"))

    with pytest.raises(ApplyRefused, match=reason):
        apply(connection, keys, table)
