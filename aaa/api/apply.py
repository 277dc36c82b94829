"""
Applying a file: checked whole, written in transactions, opening balances posted by the node.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import Connection, insert

from aaa.api.context import PROVISION_TIMEOUT_S, ApiContext, Caller, Context
from aaa.api.problems import Refusal, accepted
from aaa.api.security import ADMIN, Who
from aaa.api.shapes import Applied
from aaa.config.clients import as_document
from aaa.config.problems import Problem, problem_at
from aaa.engine.commands import Adjust
from aaa.provision import ApplyFile, ApplyRefused, Result, parse_apply, write
from aaa.provision.large import LargeFile, is_large, line_of_account, parse_large
from aaa.provision.parse import placed
from aaa.provision.writer import ACTIONS_MAX
from aaa.store import tables as db
from aaa.store.outbox import write_changed
from aaa.value import replace

router = APIRouter(prefix="/v1", tags=["provisioning"])

OPENINGS_AT_ONCE = 500
PROGRESS_TYPE = "application/x-ndjson"


class ApplyBody(BaseModel):
    """An apply file and the files it names, read by the client."""

    model_config = ConfigDict(extra="forbid")
    file: Annotated[str, StringConstraints(max_length=4096)] = "apply"
    text: str
    files: dict[str, str] = {}


@router.post("/apply", response_model=Applied, dependencies=[ADMIN])
def apply(request: Request, context: Context, who: Who, body: ApplyBody, dry_run: bool = False) -> Any:
    """
    Create what is missing and change what differs; nothing is deleted, nothing half-applied.

    With `Accept: application/x-ndjson` progress lines `{"done", "of"}` come first and the result, or the
    problem, is the last line.
    """
    file = parsed(context, body)
    if isinstance(file, list):
        raise Refusal(422, f"{body.file} was refused: {file[0]}", code="refused", errors=file)
    steps = _steps(context, who, body, file, dry_run)
    if PROGRESS_TYPE in request.headers.get("accept", ""):
        return StreamingResponse(_lines(steps), media_type=PROGRESS_TYPE)
    *_, applied = steps
    return Response(json.dumps(applied), media_type="application/json")


def parsed(context: ApiContext, body: ApplyBody) -> ApplyFile | LargeFile | list[Problem]:
    """The file as checked tables, or everything that is wrong with it."""
    parse = partial(parse_apply, files=body.files, where=body.file, check_nas=context.check_nas)
    return parse_large(body.text, parse, body.file) if is_large(body.text) else parse(body.text)


def _placed(error: ApplyRefused, body: ApplyBody) -> list[Problem]:
    """Problems found against the store, with their lines; in a large file those of the account's header."""
    if not is_large(body.text):
        return placed(error.problems, body.text, body.file)
    lines = [line_of_account(body.text, int(path[1])) if path[0] == "account" else None for path, _ in error.problems]
    found = zip(error.problems, lines, strict=True)
    return [problem_at(path, reason, body.file, line) for (path, reason), line in found]


def refuse_or_write(context: ApiContext, who: Caller, action: str, target: str, file: ApplyFile) -> Result:
    """
    Write a few objects in one transaction with its audit line, then post their opening balances.

    Raises:
        Refusal: They do not fit what is stored.
    """
    try:
        result = _write(context, file, context.audit_row(who, action, target, {}), dry_run=False)
    except ApplyRefused as error:
        problems = [problem_at(path, reason, "body", None) for path, reason in error.problems]
        raise Refusal(422, str(error), code="refused", errors=problems) from None
    _post(context, result.openings, who)
    return result


def _steps(
    context: ApiContext, who: Caller, body: ApplyBody, file: ApplyFile | LargeFile, dry_run: bool
) -> Iterator[dict[str, Any]]:
    """Write the file batch by batch; yields progress, and the result as the last item."""
    total = Result()
    openings = 0
    done = 0
    audit = context.audit_row(who, "apply", body.file, {"objects": file.objects})
    advice: list[str] = []
    for number, batch in enumerate(file.batches()):
        if context.advise_nas is not None:
            advice += [line for nas in batch.nas for line in context.advise_nas(as_document(nas))]
        try:
            result = _write(context, batch, audit if not number else None, dry_run)
        except ApplyRefused as error:
            problems = _placed(error, body)
            raise Refusal(422, f"{body.file} was refused: {problems[0]}", code="refused", errors=problems) from None
        if not dry_run:
            _post(context, result.openings, who)
        openings += len(result.openings)
        total.created += result.created
        total.changed += result.changed
        total.unchanged += result.unchanged
        total.actions += result.actions[: ACTIONS_MAX - len(total.actions)]
        done += batch.objects
        yield {"done": done, "of": file.objects}
    yield Applied(
        created=total.created,
        changed=total.changed,
        unchanged=total.unchanged,
        openings=openings,
        actions=total.actions,
        warnings=[warning for tariff in file.tariffs for warning in tariff.warnings] + advice,
        dry_run=dry_run,
    ).model_dump()


def _write(context: ApiContext, file: ApplyFile, audit: dict[str, Any] | None, dry_run: bool) -> Result:
    configured = {nas["name"] for nas in context.config.nas}

    def work(connection: Connection) -> Result:
        result = write(connection, file, context.keys, context.clock(), dry_run=dry_run, configured_nas=configured)
        if audit is not None and not dry_run:
            connection.execute(insert(db.audit), [audit])
        if not dry_run:
            write_changed(connection, context.consumers, result.accounts, context.clock())
        return result

    result: Result = context.provision(work, forgets=not dry_run)
    return result


def _post(context: ApiContext, openings: list[tuple[int, Adjust]], who: Caller) -> None:
    """
    Post opening balances, a bounded number at once; the node makes batches of them.

    Raises:
        Refusal: One of them was not posted; running the file again resumes.
    """
    queue = iter(openings)
    while part := list(islice(queue, OPENINGS_AT_ONCE)):
        commands = [(replace(command, actor=who.actor), account_id) for account_id, command in part]
        for answer in context.wait(context.control.submit_all(commands), PROVISION_TIMEOUT_S):
            accepted(answer)


def _lines(steps: Iterator[dict[str, Any]]) -> Iterator[str]:
    try:
        for step in steps:
            yield json.dumps(step) + "\n"
    except Refusal as refusal:
        yield json.dumps({"problem": refusal.body()}) + "\n"
