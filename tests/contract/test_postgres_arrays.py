"""The arrays of a batch are what PostgreSQL takes them for."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.pq import ExecStatus

from aaa.store.postgres_rows import NULLABLE, NUMBER, TEXT, array
from tests.support.postgres import Postgres


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    postgres.create("arrays")
    with psycopg.connect(postgres.conninfo("arrays"), autocommit=True) as made:
        yield made


def read_back(connection: psycopg.Connection[Any], kind: str, values: list[Any]) -> list[str | None]:
    """The elements as the server writes them, in their order."""
    element = "text" if kind == TEXT else "bigint"
    sql = f"SELECT e::text FROM unnest($1::{element}[]) WITH ORDINALITY x(e, n) ORDER BY n"
    result = connection.pgconn.exec_params(sql.encode(), [array(values, kind)], param_formats=[1])
    assert result.status == ExecStatus.TUPLES_OK, result.error_message
    found = [result.get_value(row, 0) for row in range(result.ntuples)]
    return [None if value is None else value.decode() for value in found]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["a", "", "NULL", '{"x":"\\\\"}', "it's", "käse\u0001\n\t", "\U0001f600", ",", "{}"],
        ["x" * 70_000, "y"],
        [str(number) for number in range(2_000)],
    ],
)
def test_texts(connection: psycopg.Connection[Any], values: list[str]) -> None:
    assert values == read_back(connection, TEXT, values)


@pytest.mark.parametrize("kind", [NUMBER, NULLABLE])
@pytest.mark.parametrize("values", [[], [0], [-1, 2**63 - 1, -(2**63)], list(range(2_000))])
def test_numbers(connection: psycopg.Connection[Any], kind: str, values: list[int]) -> None:
    assert [str(value) for value in values] == read_back(connection, kind, values)


def test_numbers_that_may_be_missing(connection: psycopg.Connection[Any]) -> None:
    assert ["1", None, "-3", None] == read_back(connection, NULLABLE, [1, None, -3, None])


@pytest.mark.parametrize("kind", [NUMBER, NULLABLE])
def test_a_number_no_column_can_hold_is_not_sent(kind: str) -> None:
    with pytest.raises(struct.error):
        array([1, 2**63], kind)
    with pytest.raises(struct.error):
        array([None, 2**63], NULLABLE)


def test_a_text_that_is_none_is_not_sent() -> None:
    with pytest.raises(UnicodeEncodeError):
        array(["\udcff"], TEXT)
