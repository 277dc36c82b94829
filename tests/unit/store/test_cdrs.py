"""In the embedded store the CDRs of an account are found block by block, through an index that stays together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, insert, select

from aaa.store import cdrs, schema
from aaa.store.sqlite_sql import INSERT_CDR
from aaa.store.tables import cdr

NODE = 7 << 40
REST = ("EUR", "normal", 0, 0, None, "[]", "[]", None)
PAYERS = {NODE: 1, NODE + 1_023: 2, NODE + 1_024: 1, NODE + 5_000: None, NODE * 2: 1, NODE * 2 + 1: 2}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """CDRs of two starts of a node, as a batch writes them."""
    url = f"sqlite:///{tmp_path}/aaa.db"
    schema.upgrade(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        for number, account_id in PAYERS.items():
            row = (number, account_id, f"k{number}", "nas", 1, 0, 60, 60, 10, *REST)
            connection.exec_driver_sql(INSERT_CDR, row)
        yield connection
    engine.dispose()


@pytest.mark.parametrize("account_id", [1, 2, 3, None])
def test_an_account_is_asked_for_in_every_block(connection: Connection, account_id: int | None) -> None:
    found = cdrs.of(connection, cdr.c.account_id == account_id)

    assert [number for number, payer in PAYERS.items() if payer == account_id] == sorted(
        connection.execute(select(found.c.id)).scalars()
    )


def test_a_block_is_1024_sessions_that_began_one_after_the_other(connection: Connection) -> None:
    blocks = connection.execute(select(cdr.c.block).order_by(cdr.c.id)).scalars()

    assert [number >> 10 for number in PAYERS] == list(blocks)
    assert 4 == len({number >> 10 for number in PAYERS})


def test_a_store_without_cdrs_has_none(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/aaa.db"
    schema.upgrade(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        assert not connection.execute(select(cdrs.of(connection, cdr.c.account_id == 1))).all()
    engine.dispose()


def test_no_cdr_of_others_is_looked_at(connection: Connection) -> None:
    connection.execute(insert(cdr), [_other(NODE + 10_000 + number) for number in range(3_000)])
    found = select(cdrs.of(connection, cdr.c.account_id == 1))
    plan = connection.exec_driver_sql(
        "EXPLAIN QUERY PLAN " + str(found.compile(connection, compile_kwargs={"literal_binds": True}))
    )

    assert "SEARCH cdr USING INDEX ix_cdr_block_account_id (block=? AND account_id=?)" in [row[3] for row in plan]


def _other(number: int) -> dict[str, object]:
    named = {"id": number, "account_id": 2, "key": f"k{number}", "origin": "nas", "block": number >> 10}
    told = {"begun_at": 0, "ended_at": 60, "used": 60, "amount": 10, "cause": "normal", "head": "[]", "lines": "[]"}
    return named | told
