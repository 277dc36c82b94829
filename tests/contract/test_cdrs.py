"""
The CDRs of an account are found whichever blocks they are in, and proved against its ledger.
"""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text

from aaa.store import read
from aaa.store.verify import verify_range
from tests.contract.conftest import Bench
from tests.contract.test_store import access, start, stop

ALICE, BOB, CAROL = 1, 2, 3
CALLERS = (ALICE, BOB, ALICE, ALICE, BOB, ALICE)


@pytest.fixture
def called(bench: Bench) -> Bench:
    """Alice called four times and Bob twice, on nodes that came one after the other."""
    bench.prepare({"alice": "100.00", "bob": "100.00", "carol": "1.00"})
    for call, account_id in enumerate(CALLERS):
        node = bench.node()
        bench.run(node, (access(f"s{call}"), account_id), (start(f"s{call}"), None))
        bench.clock.at(10 * call + 10)
        bench.run(node, (stop(f"s{call}", 10), None))
        if call < len(CALLERS) - 1:
            bench.stores.pop().close()
    return bench


def test_the_cdrs_of_an_account_are_found_in_the_order_they_ended(called: Bench) -> None:
    engine = create_engine(called.url)
    with read.snapshot(engine) as connection:
        found = {account_id: read.cdrs(connection, (0, 0), 10, account_id=account_id) for account_id in (1, 2, 3)}
        later = read.cdrs(connection, (found[ALICE][1].ended_at, found[ALICE][1].id), 1, account_id=ALICE)
        everyones = read.cdrs(connection, (0, 0), 10)
        nobodys = read.cdrs(connection, (0, 0), 10, is_unrated=True)
    engine.dispose()

    assert [["s0", "s2", "s3", "s5"], ["s1", "s4"], []] == [[row.key for row in found[each]] for each in (1, 2, 3)]
    assert ["s3"] == [row.key for row in later]
    assert 6 == len(everyones)
    assert not nobodys
    assert all(type(row.id) is int and row.amount == 100_000 for row in found[ALICE])


@pytest.mark.parametrize(("wrong", "account"), [("s0", "alice"), ("s3", "alice"), ("s4", "bob")])
def test_a_cdr_that_the_ledger_does_not_know_is_found_in_every_block(called: Bench, wrong: str, account: str) -> None:
    engine = create_engine(called.url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE cdr SET amount = amount + 1 WHERE key = :wrong"), {"wrong": wrong})
    with read.snapshot(engine) as connection:
        verified = verify_range(connection, 0, 100)
    engine.dispose()

    assert [(account, "cdr_entries", 0, 1)] == [tuple(each) for each in verified.mismatches]
