"""
A tariff is the same tariff however it was written down.
"""

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from rating import TariffDocument, diff, export_csv, export_toml, load, price
from tests.reference.generate import DESTINATION, document_of
from tests.reference.strategies import calls, tables


@settings(deadline=None, max_examples=100)
@given(tables())
def test_stored_text_reads_back_identically(table):
    """Document to JSON and back is the same document and the same text."""
    document = document_of(table)
    again = TariffDocument.from_json(document.to_json())

    assert again == document
    assert again.to_json() == document.to_json()
    assert diff(document, again) == []


@settings(deadline=None, max_examples=100)
@given(tables())
def test_an_export_imports_identically(table):
    """As TOML alone and as TOML with a rates file."""
    document = document_of(table)
    inline = tomllib.loads(export_toml(document))["tariff"][0]
    beside = tomllib.loads(export_toml(document, "rates.csv"))["tariff"][0]

    assert document_of(inline).to_json() == document.to_json()
    assert document_of(beside, export_csv(document)).to_json() == document.to_json()


@settings(deadline=None, max_examples=100)
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(table, dice):
    """Rows may come in any order."""
    shuffled = list(table["rate"])
    dice.shuffle(shuffled)

    assert document_of({**table, "rate": shuffled}).to_json() == document_of(table).to_json()


@settings(deadline=None, max_examples=100)
@given(calls())
def test_a_tariff_prices_the_same_after_export(call):
    """An exported, re-imported, stored and loaded tariff gives the same prices."""
    document = document_of(call.table)
    again = document_of(tomllib.loads(export_toml(document))["tariff"][0])
    plan = load(again.to_json(), 2).find(call.plan.service, DESTINATION)

    assert price(plan, call.anchor_us, call.used) == price(call.plan, call.anchor_us, call.used)
