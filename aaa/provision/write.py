"""
Make the store hold what an `apply` file says: create what is missing, change what differs, delete nothing.

Money is never written here.  Opening balances come back as commands that the caller submits to the node,
where their idempotency key makes them exactly once (SEMANTICS S13).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, insert, select

from aaa.keys import Keys
from aaa.provision.accounts import write_accounts
from aaa.provision.clients import write_nas, write_peers
from aaa.provision.parse import ApplyFile
from aaa.provision.pools import write_pools
from aaa.provision.tariffs import TariffTable
from aaa.provision.writer import ROWS_PER_STATEMENT, Result, Writer
from aaa.store import tables as db

ACTIVATION_LEAD_US = 5_000_000  # several nodes learn of a version before it is in force (S17)


def write(
    connection: Connection,
    file: ApplyFile,
    keys: Keys,
    now_us: int,
    *,
    dry_run: bool = False,
    configured_nas: Collection[str] = (),
) -> Result:
    """
    Upsert everything the file names.

    Args:
        configured_nas: Names of the clients in the configuration; a name in both places is an error.

    Raises:
        ApplyRefused: The file contradicts what is stored (unknown tariff, identity of another account,
            currency of an account with money in it); the caller rolls back.

    Money: none; `Result.openings` is what the caller submits after the transaction.
    """
    writer = Writer(connection, keys, now_us, dry_run)
    currencies = _write_tariffs(writer, file.tariffs)
    for start in range(0, len(file.accounts), ROWS_PER_STATEMENT):
        write_accounts(writer, file.accounts[start : start + ROWS_PER_STATEMENT], file.offset + start, currencies)
    write_pools(writer, file.accounts, file.offset)
    write_nas(writer, file.nas, configured_nas)
    write_peers(writer, file.peers)
    return writer.result


def _write_tariffs(writer: Writer, tariffs: Sequence[TariffTable]) -> dict[str, str]:
    """Append a version and its activation where the document is new; returns the currency of every tariff known."""
    currencies: dict[str, str] = {}
    for tariff in tariffs:
        currencies[tariff.name] = tariff.currency
        latest = writer.connection.execute(
            select(db.tariff_version.c.digest, db.tariff_activation.c.active_from)
            .join(db.tariff_activation, db.tariff_activation.c.version_id == db.tariff_version.c.id)
            .where(db.tariff_activation.c.tariff == tariff.name)
            .order_by(db.tariff_activation.c.active_from.desc())
            .limit(1)
        ).first()
        if latest is not None and latest.digest == tariff.digest:
            writer.result.note("unchanged", f"tariff {tariff.name}")
            continue
        lead_us = ACTIVATION_LEAD_US if latest and writer.connection.dialect.name == "postgresql" else 0
        active_from = max(writer.now_us + lead_us, latest.active_from + 1 if latest else 0)
        if not writer.dry_run:
            add_version(writer.connection, tariff, active_from, writer.now_us)
        writer.result.note("changed" if latest else "created", f"tariff {tariff.name}")
    return currencies


def add_version(connection: Connection, tariff: TariffTable, active_from_us: int | None, now_us: int) -> int:
    """Append a tariff version, and its activation unless `active_from_us` is None; returns its number."""
    row = {"tariff": tariff.name, "document": tariff.document, "digest": tariff.digest, "created_at": now_us}
    version: int = connection.execute(insert(db.tariff_version).returning(db.tariff_version.c.id), [row]).scalar_one()
    if active_from_us is not None:
        activation = {"tariff": tariff.name, "active_from": active_from_us, "version_id": version}
        connection.execute(insert(db.tariff_activation), [activation | {"created_at": now_us}])
    return version
