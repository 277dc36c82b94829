"""Every statement a batch may need is one that PostgreSQL takes, and there are not too many of them."""

from __future__ import annotations

from itertools import combinations

import psycopg

from aaa.store import schema
from aaa.store.postgres_sql import PARTS, RARE, commit, together
from tests.support.postgres import Postgres

OPTIONAL = [letter for letter in PARTS if letter != "m" and letter not in RARE]


def statements() -> set[str]:
    """The parts of every statement that any batch may ask for, by letter."""
    found = set()
    for count in range(len(OPTIONAL) + 1):
        for letters in combinations(OPTIONAL, count):
            for is_rare in (False, True):
                present = together(set(letters), is_rare)
                found.add("m" + "".join(letter for letter in OPTIONAL if letter in present) + RARE * is_rare)
    return found


def test_they_are_bounded() -> None:
    assert 132 == len(statements())


def test_each_can_be_prepared_and_does_nothing_for_an_empty_batch(postgres: Postgres) -> None:
    url = postgres.create("statements")
    schema.upgrade(url)
    with psycopg.connect(postgres.conninfo("statements"), autocommit=True) as connection:
        for number, letters in enumerate(sorted(statements())):
            width = sum(len(PARTS[letter][0].split()) for letter in letters)
            connection.execute(f"PREPARE s{number} AS {commit(letters)}")
            nothing = ", ".join(["'{}'"] * width)
            assert [] == connection.execute(f"EXECUTE s{number}({nothing})").fetchall()
