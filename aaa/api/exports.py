"""
Export of CDRs as closed files with sequence numbers, each revision of a CDR in exactly one of them.

A file is first announced in the store, together with the revisions it holds; then written under another name and
synced; its digest noted; renamed; and marked closed.  A crash in between leaves an announced file that the next run of
the same node finishes: as it was written once its digest is noted, else written again under the same number.
A CDR that a late report revised appears once more, in a later file, with its higher revision; one that was revised
between announcing and writing goes out once, as it is then.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection, Select, and_, delete, exists, func, insert, literal, select, update

from aaa.api import present, records, shapes
from aaa.api.accounts import Cursor, Limit
from aaa.api.context import ApiContext, Context
from aaa.api.problems import Refusal
from aaa.api.security import OPERATE, READ, Who
from aaa.api.sessions import csv_text
from aaa.api.shapes import Page, instant
from aaa.store import read
from aaa.store import tables as db

router = APIRouter(prefix="/v1", tags=["cdrs"], dependencies=[READ])

RECORDS_MAX = 5_000  # of one file: announcing it is one statement between two batches
FILES_AT_ONCE = 20
PAGE = 500
REVISED_WITHIN_S = 3_600  # beyond the time closed sessions are kept, nothing revises a CDR
SECOND_US = 1_000_000


@router.get("/cdr-files")
def list_files(context: Context, after: Cursor = "0", limit: Limit = 100) -> Page[records.CdrFile]:
    """The exported files in order of their numbers."""
    table = db.cdr_file
    number = int(after) if after.isdecimal() and len(after) < 19 else 0
    with context.read() as connection:
        query = select(table).where(table.c.number > number).order_by(table.c.number).limit(limit)
        rows = connection.execute(query).all()
    return Page(items=[_shown(row) for row in rows], next=str(rows[-1].number) if len(rows) == limit else None)


@router.post("/cdr-files", dependencies=[OPERATE])
def export_now(context: Context, who: Who) -> list[records.CdrFile]:
    """Export what was not exported yet, in as many files as it takes; more than twenty take another call."""
    if context.config.export.directory is None:
        raise Refusal(422, "nowhere to export to", hint="[export] directory = ... in the configuration")
    context.audit(who, "cdr.export", context.config.export.directory)
    try:
        return [_shown(row) for row in export(context)]
    except OSError as error:
        raise Refusal(503, f"{context.config.export.directory}: {error.strerror}") from None


def export(context: ApiContext) -> list[Any]:
    """
    Write the files that were announced and not closed, then new ones; returns their rows.

    Raises:
        OSError: The directory cannot be written; what was announced stays announced.
    """
    closed = [_write(context, row) for row in _announced(context)]
    while len(closed) < FILES_AT_ONCE:
        number = context.provision(lambda connection: announce(context, connection), forgets=False)
        if number is None:
            break
        closed.append(_write(context, _row(context, number)))
    return closed


def announce(context: ApiContext, connection: Connection) -> int | None:
    """Reserve the next number for the oldest revisions that no file has; None when there are none."""
    _alone(connection)
    export, file, cdr = db.cdr_export, db.cdr_file, db.cdr
    last = connection.execute(select(func.max(file.c.number))).scalar() or 0
    newest = select(func.max(cdr.c.ended_at)).join(export, export.c.cdr_id == cdr.c.id)
    reached = connection.execute(newest.where(export.c.file_number == last)).scalar() or 0
    kept_s = context.config.retention.session_closed + REVISED_WITHIN_S
    since_us = min(reached, context.clock() - kept_s * SECOND_US)
    known = and_(export.c.cdr_id == cdr.c.id, export.c.revision == cdr.c.revision)
    chosen = (
        select(cdr.c.id, cdr.c.revision, literal(last + 1))
        .outerjoin(export, known)
        .where(cdr.c.ended_at >= since_us, export.c.cdr_id.is_(None))
        .order_by(cdr.c.ended_at, cdr.c.id)
        .limit(RECORDS_MAX)
    )
    columns = ["cdr_id", "revision", "file_number"]
    connection.execute(insert(export).from_select(columns, chosen))
    ours = export.c.file_number == last + 1
    records = connection.execute(select(func.count()).select_from(export).where(ours)).scalar()
    if not records:
        return None
    node, form = context.config.server.node, context.config.export.format
    name = f"cdr-{last + 1:09d}.{form}"
    row = {"number": last + 1, "node": node, "name": name, "records": records, "created_at": context.clock()}
    connection.execute(insert(file), [row])
    return int(last + 1)


def _alone(connection: Connection) -> None:
    """Let no other node announce or follow revisions until this transaction is over; SQLite has one node."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE cdr_file IN EXCLUSIVE MODE")


def _write(context: ApiContext, row: Any) -> Any:
    """Write one announced file whole, and only then under its name."""
    directory = Path(context.config.export.directory or ".")
    part, path = directory / f"{row.name}.part", directory / row.name
    digest = row.digest
    if not digest or digest not in (_digest_of(part), _digest_of(path)):
        digest = _write_part(context, row, part)
        if _digest_of(path) not in (None, digest):
            raise FileExistsError(errno.EEXIST, "a file of another content has this name", str(path))
        _note(context, row.number, digest=digest)
    if _digest_of(path) != digest:
        part.rename(path)
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    part.unlink(missing_ok=True)
    _note(context, row.number, closed_at=context.clock())
    return _row(context, row.number)


def _write_part(context: ApiContext, row: Any, part: Path) -> str:
    """Write and sync the records of an announced file; returns their digest."""
    context.provision(lambda connection: _follow_revisions(connection, row.number), forgets=False)
    written: list[int] = []
    digest = hashlib.sha256()
    with part.open("wb") as file:
        for text in _text(context, row, written):
            content = text.encode()
            digest.update(content)
            file.write(content)
        file.flush()
        os.fsync(file.fileno())
    context.provision(lambda connection: _forget_others(connection, row.number, written), forgets=False)
    return digest.hexdigest()


def _note(context: ApiContext, number: int, **values: Any) -> None:
    noting = update(db.cdr_file).where(db.cdr_file.c.number == number).values(**values)
    context.provision(lambda connection: connection.execute(noting), forgets=False)


def _digest_of(path: Path) -> str | None:
    """The SHA-256 of a file, None when it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _text(context: ApiContext, row: Any, written: list[int]) -> Iterator[str]:
    pages = _pages(context, row.number, written)
    if row.name.endswith(".csv"):
        return csv_text(pages)
    return (cdr.model_dump_json() + "\n" for page in pages for cdr in page)


def _pages(context: ApiContext, number: int, written: list[int]) -> Iterator[list[shapes.Cdr]]:
    """The CDRs of a file, a page at a time, and their numbers."""
    after = (-1, -1)
    while True:
        with context.read() as connection:
            rows = connection.execute(_of_file(number, after).limit(PAGE)).all()
            owners = read.account_names(connection, [row.account_id for row in rows if row.account_id is not None])
            tariffs = context.tariffs(connection)
            page = [present.cdr(row, owners.get(row.account_id, (None, ""))[0], tariffs) for row in rows]
        written += [row.id for row in rows]
        yield page
        if len(rows) < PAGE:
            return
        after = (rows[-1].ended_at, rows[-1].id)


def _follow_revisions(connection: Connection, number: int) -> None:
    """A CDR that was revised since it was announced goes out as it is now, unless another file has that."""
    _alone(connection)
    export, cdr, other = db.cdr_export, db.cdr, db.cdr_export.alias()
    now = select(cdr.c.revision).where(cdr.c.id == export.c.cdr_id).correlate(export).scalar_subquery()
    ours = (export.c.file_number == number) & (now > export.c.revision)
    elsewhere = exists().where(other.c.cdr_id == export.c.cdr_id, other.c.revision == now).correlate(export)
    connection.execute(delete(export).where(ours, elsewhere))
    connection.execute(update(export).where(ours).values(revision=now))


def _forget_others(connection: Connection, number: int, written: list[int]) -> None:
    """What was revised while the file was written, and is not in it, is for a later file."""
    export = db.cdr_export
    ours = select(export.c.cdr_id).where(export.c.file_number == number)
    missing = set(connection.execute(ours).scalars()) - set(written)
    if missing:
        connection.execute(delete(export).where(export.c.file_number == number, export.c.cdr_id.in_(missing)))
    connection.execute(update(db.cdr_file).where(db.cdr_file.c.number == number).values(records=len(written)))


def _of_file(number: int, after: tuple[int, int]) -> Select[Any]:
    export, cdr = db.cdr_export, db.cdr
    same = (export.c.cdr_id == cdr.c.id) & (export.c.revision == cdr.c.revision)
    later = (cdr.c.ended_at > after[0]) | ((cdr.c.ended_at == after[0]) & (cdr.c.id > after[1]))
    query = select(cdr).join(export, same).where(export.c.file_number == number, later)
    return query.order_by(cdr.c.ended_at, cdr.c.id)


def _announced(context: ApiContext) -> list[Any]:
    table = db.cdr_file
    ours = table.c.closed_at.is_(None) & (table.c.node == context.config.server.node)
    with context.read() as connection:
        return list(connection.execute(select(table).where(ours).order_by(table.c.number)).all())


def _row(context: ApiContext, number: int) -> Any:
    with context.read() as connection:
        return connection.execute(select(db.cdr_file).where(db.cdr_file.c.number == number)).one()


def _shown(row: Any) -> records.CdrFile:
    return records.CdrFile(
        number=row.number,
        name=row.name,
        node=row.node,
        records=row.records,
        sha256=row.digest if row.closed_at is not None else None,
        created_at=instant(row.created_at) or "",
        closed_at=instant(row.closed_at),
    )
