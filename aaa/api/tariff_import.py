"""
Importing tariffs: versions are added and not yet in force, so that they can be compared before they are activated.
"""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import Connection, insert

from aaa.api.apply import ApplyBody, parsed
from aaa.api.context import ApiContext, Context
from aaa.api.problems import Refusal
from aaa.api.security import ADMIN, Who
from aaa.provision.tariffs import TariffTable
from aaa.provision.write import add_version
from aaa.store import read
from aaa.store import tables as db
from rating.diff import diff
from rating.document import TariffDocument

router = APIRouter(prefix="/v1/tariffs", tags=["tariffs"])


class Imported(BaseModel):
    """One tariff of the file, beside what is in force of it."""

    tariff: str
    version: int | None = Field(description="its number; null when nothing was written")
    in_force: int | None
    is_new: bool = Field(description="false: a version like this was there before")
    changes: int = Field(description="prefixes and terms that differ from the version in force")
    jumps: int = Field(description="prices among them that move by half or more")
    warnings: list[str]


@router.post("", dependencies=[ADMIN])
def import_tariffs(context: Context, who: Who, body: ApplyBody, dry_run: bool = False) -> list[Imported]:
    """Add the tariffs of an apply file as versions, all or none; none of them comes into force."""
    file = parsed(context, body)
    if isinstance(file, list):
        raise Refusal(422, f"{body.file} was refused: {file[0]}", code="refused", errors=file)
    tariffs: list[TariffTable] = []
    for batch in file.batches():
        if batch.accounts or batch.nas or batch.peers:
            raise Refusal(422, f"{body.file} holds more than tariffs; `apply` takes the rest", code="refused")
        tariffs += batch.tariffs
    if not tariffs:
        raise Refusal(422, f"{body.file} holds no [[tariff]]", code="refused")
    found = [_compared(context, tariff) for tariff in tariffs]
    new = [(place, tariff) for place, tariff in enumerate(tariffs) if found[place].is_new]
    if dry_run or not new:
        return found
    audit = context.audit_row(who, "tariff.import", body.file, {"tariffs": [tariff.name for _, tariff in new]})

    def work(connection: Connection) -> list[int]:
        connection.execute(insert(db.audit), [audit])
        return [add_version(connection, tariff, None, context.clock()) for _, tariff in new]

    for (place, _), version in zip(new, context.provision(work, forgets=False), strict=True):
        found[place].version = version
    return found


def _compared(context: ApiContext, tariff: TariffTable) -> Imported:
    """A tariff beside the versions that are stored."""
    now = context.clock()
    with context.read() as connection:
        known = {row.digest: row.id for row in read.versions(connection, tariff.name)}
        activations = read.activations(connection, tariff.name)
        in_force = next((row.version_id for row in activations if row.active_from <= now), None)
        before = None if in_force is None else read.document(connection, in_force)
    changes = diff(TariffDocument.from_json(before), TariffDocument.from_json(tariff.document)) if before else []
    return Imported(
        tariff=tariff.name,
        version=known.get(tariff.digest),
        in_force=in_force,
        is_new=tariff.digest not in known,
        changes=len(changes),
        jumps=sum(change.is_jump for change in changes),
        warnings=list(tariff.warnings),
    )
