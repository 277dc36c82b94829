"""`aaactl ledger`: prove that the ledger adds up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import click

from aaa.cli.client import path_of
from aaa.cli.errors import DONE, FOUND_SOMETHING
from aaa.cli.main import Options, verb
from aaa.cli.output import columns, progress, show_one, show_rows

command = click.Group("ledger", help="Prove that the ledger adds up.")

RANGE = 5_000
BROKEN_SHOWN_MAX = 1_000


@verb(command)
def verify(options: Options) -> int:
    """Replay the ledger of every account; exit code 8 when anything does not add up."""
    total: dict[str, Any] = {"accounts": 0, "mismatches": 0, "currencies": {}, "broken": []}
    after: str | None = "0"
    while after is not None:
        part = options.client.get(path_of("ledger", "verify"), after=after, limit=RANGE)
        _add(total, part)
        after = part["next"]
        progress(total["accounts"], total["accounts"] + (RANGE if after else 0), "verifying accounts")
    if options.form == "table":
        rows = [{"currency": currency, **sums} for currency, sums in total["currencies"].items()]
        shown = columns("currency", "accounts", "entries", "balances", "reservations", "reserved", "mismatches")
        show_rows(rows, shown, "table")
        for row in total["broken"]:
            print(f"account {row['account']}: {row['check']}: expected {row['expected']}, found {row['found']}")
        print(f"{total['mismatches']} mismatches in {total['accounts']} accounts")
    else:
        show_one(total, options.form)
    return FOUND_SOMETHING if total["mismatches"] else DONE


def _add(total: dict[str, Any], part: dict[str, Any]) -> None:
    """Add one checked range to the sums."""
    total["accounts"] += part["accounts"]
    total["mismatches"] += part["mismatches"]
    total["broken"] += part["broken"][: BROKEN_SHOWN_MAX - len(total["broken"])]
    for currency, sums in part["currencies"].items():
        here = total["currencies"].setdefault(currency, dict.fromkeys(sums, 0))
        for key, value in sums.items():
            if isinstance(value, str):
                here[key] = f"{Decimal(here[key]) + Decimal(value):.6f}"
            else:
                here[key] += value


@verb(command)
@click.argument("account")
@click.argument("ref")
def explain(options: Options, account: str, ref: str) -> None:
    """Show the entries one session (its id) or movement (its key) caused."""
    entries = options.client.get(path_of("accounts", account, "entries", ref))
    show_rows(entries, columns("entry_no", "at", "amount", "balance_after", "cause", "ended", "ref"), options.form)
