"""
Plant bugs in the engine, the node and the store, and see that the simulator finds each.

Run as `python -m tests.mutation.engine_mutations`; `--only TEXT` takes the bugs whose description contains it.
Each replaces one passage of one module in a copy of the project and runs the simulator there, with one node
and with three, and with a store that goes away; a run that breaks a law, fails or hangs has found it.  Exit 1 when a bug
stays hidden.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.mutation.runner import ROOT, Mutation, ended, run

RUNS = (("1", "1"), ("3", "2"), ("1", "3"), ("3", "4"), ("1", "8", "--outages"), ("3", "6", "--outages"))  # nodes, seed
SESSIONS = 1500
TIMEOUT_S = 60  # a run without a bug takes a few seconds

BUGS = [
    # sums of an account
    Mutation("old hold not given back", "aaa/engine/sums.py", "        reserved -= line.reserved_micro\n", ""),
    Mutation("usage not accrued", "aaa/engine/sums.py", "        accrued += line.accrued_micro\n", ""),
    Mutation("entry numbers with gaps", "aaa/engine/sums.py", "account.entry_no + 1", "account.entry_no + 2"),
    Mutation("money posted with the wrong sign", "aaa/engine/settle.py", ", -due_micro, kind", ", due_micro, kind"),
    Mutation(
        "available forgets what is held",
        "aaa/engine/model.py",
        "self.balance_micro + limit - self.reserved_micro",
        "self.balance_micro + limit",
    ),
    # sessions
    Mutation(
        "a new session does not count as live",
        "aaa/engine/begin.py",
        "moved(account, (), lines, live=1)",
        "moved(account, (), lines)",
    ),
    Mutation("an ended session still counts as live", "aaa/engine/settle.py", "live=-1 if was_live else 0", "live=0"),
    Mutation(
        "a session that lives again is not counted",
        "aaa/engine/update.py",
        "moved(account, (), (), live=1)",
        "moved(account, (), ())",
    ),
    Mutation(
        "a grant holds nothing",
        "aaa/engine/lines.py",
        "        held - line.posted_micro,\n",
        "        line.accrued_micro,\n",
    ),
    Mutation("only the last line is charged", "aaa/engine/settle.py", "due_micro += amount", "due_micro = amount"),
    Mutation(
        "a correction posts the whole charge again",
        "aaa/engine/lines.py",
        "    ), charge - line.posted_micro",
        "    ), charge",
    ),
    Mutation(
        "a delta is taken as a total",
        "aaa/engine/lines.py",
        "before + max(0, usage.units)",
        "max(before, usage.units)",
    ),
    Mutation("an ended session is settled again", "aaa/engine/end.py", "session.state is State.CLOSED:", "False:"),
    Mutation(
        "a debit posts nothing", "aaa/engine/event.py", "True, result.entries, result.units, True", "True, (), (), True"
    ),
    # repeats
    Mutation(
        "a repeated report counts again",
        "aaa/engine/update.py",
        "    before = known(session, command.identity, now)\n    if before is not None:\n        return repeated(session, before.answer)\n    if session.state is State.CLOSED:",
        "    if session.state is State.CLOSED:",
    ),
    Mutation("the last number is new once more", "aaa/engine/identity.py", "    if behind < 0:", "    if behind <= 0:"),
    Mutation(
        "a repeated grant is decided anew",
        "aaa/engine/update.py",
        "    before = known(session, command.identity, now)\n    if before is not None:\n        return repeated(session, before.answer)\n    refusal",
        "    refusal",
    ),
    Mutation(
        "a top-up is not remembered",
        "aaa/node/desk.py",
        "        self.batch[account_id].rarely().movements.append((command.idempotency_key, digest, result, request.now))\n",
        "",
    ),
    # batches
    Mutation(
        "answers go out before the commit",
        "aaa/node/node.py",
        "        batch = self.desk.take()\n        restarts",
        "        batch = self.desk.take()\n        for stage in batch.values():\n            self.answer(stage.requests)\n            stage.requests = []\n        restarts",
    ),
    Mutation("losers are answered", "aaa/node/node.py", "for number in outcome.losers:", "for number in ():"),
    Mutation(
        "what a failed batch touched stays cached",
        "aaa/node/node.py",
        "        self._forget_early(stage)\n        self.cache.drop_account(number)\n",
        "        self._forget_early(stage)\n",
    ),
    Mutation(
        "the version is taken too early", "aaa/node/desk.py", "stage.version = cached.version\n", "stage.version = 0\n"
    ),
    # limits
    Mutation(
        "what running sessions hold is no spending",
        "aaa/engine/windows.py",
        "return min(rooms) - account.reserved_micro",
        "return min(rooms)",
    ),
    Mutation(
        "what a settlement posts is in no window",
        "aaa/engine/settle.py",
        "Settled(spent(sums, due_micro, now, before.ended_us), after",
        "Settled(sums, after",
    ),
    Mutation(
        "what is given back makes room in a later window",
        "aaa/engine/windows.py",
        "        if amount_micro < 0 and charged_us < _current(account, kind, now).start_us:\n            continue\n",
        "",
    ),
    Mutation(
        "a window never ends",
        "aaa/engine/windows.py",
        "if window.kind == kind and window.start_us >= start_us:",
        "if window.kind == kind:",
    ),
    Mutation("windows are not written", "aaa/store/sqlite_rows.py", "(w := more.windows) is not None", "(w := None)"),
    Mutation("one more in a second than allowed", "aaa/engine/windows.py", ".amount >= most", ".amount > most"),
    Mutation(
        "a session is not counted in its second",
        "aaa/engine/begin.py",
        "        account = counted(account, now)\n",
        "        pass\n",
    ),
    Mutation(
        "a debit is not counted in its second",
        "aaa/engine/event.py",
        "after = counted(result.account, now)",
        "after = result.account",
    ),
    # pools
    Mutation(
        "pool: a member's usage is not parted",
        "aaa/engine/pool.py",
        "own.accrued_micro + after.accrued_micro - pool.accrued_micro",
        "own.accrued_micro",
    ),
    Mutation(
        "pool: what a member holds is not held in its pool",
        "aaa/engine/pool.py",
        "        after.accrued_micro,\n        after.reserved_micro,\n",
        "        after.accrued_micro,\n        pool.reserved_micro,\n",
    ),
    Mutation(
        "pool: a limit is lowered by what others hold",
        "aaa/engine/pool.py",
        "else limit + by",
        "else limit - by",
    ),
    Mutation(
        "pool: limits are compared with the sums of all",
        "aaa/engine/pool.py",
        "else limit + by",
        "else limit",
    ),
    Mutation(
        "pool: entries stand under the member",
        "aaa/engine/pool.py",
        "Entry(payer_id, one",
        "Entry(own.profile.id, one",
    ),
    Mutation(
        "pool: a member's windows are lost",
        "aaa/engine/pool.py",
        "        own.buckets,\n        after.windows,\n",
        "        own.buckets,\n        own.windows,\n",
    ),
    Mutation(
        "pool: a decision sees only what the member itself holds",
        "aaa/engine/pool.py",
        "        pool.accrued_micro,\n        pool.reserved_micro,\n",
        "        pool.accrued_micro,\n        own.reserved_micro,\n",
    ),
    Mutation(
        "pool: the pool's row is not written",
        "aaa/node/desk.py",
        "        self._move(self.batch[number], payer)\n",
        "        pool.account = payer\n",
    ),
    Mutation(
        "pool: members are decided on without a lock",
        "aaa/node/node.py",
        "            self.desk.defer = self.lane.take_member\n",
        "            pass\n",
    ),
    # several nodes
    Mutation(
        "what was supposed to be new is not looked for",
        "aaa/node/desk.py",
        "        if is_supposed and account_id is not None:\n            self.batch[account_id].absent += names\n        if isinstance",
        "        if isinstance",
    ),
    Mutation(
        "the sweeper ends what was heard of since it looked",
        "aaa/engine/expire.py",
        "command.due_us is not None and session.deadline_us > command.due_us",
        "False",
    ),
    # while the store is away
    Mutation(
        "a grant without the store is not written down",
        "aaa/node/outage.py",
        "            self._journal.append(record)\n",
        "            pass\n",
    ),
    Mutation(
        "grants without the store have no total",
        "aaa/node/outage.py",
        "            self.exposure_micro[record.currency] += record.exposure_micro\n",
        "",
    ),
    Mutation(
        "grants without the store have no cap",
        "aaa/engine/outage.py",
        "session_cap_s=min(policy.session_cap_s, seconds)",
        "session_cap_s=policy.session_cap_s",
    ),
    Mutation(
        "a report without the store is acknowledged and forgotten",
        "aaa/node/outage.py",
        "not in taken.reports and not self._append(Record(now, taken.account_id, command)):",
        "not in taken.reports and False:",
    ),
    Mutation(
        "a journal is emptied before it was brought in",
        "aaa/node/outage.py",
        "if self._replayed == len(self._records):",
        "if self._replayed == min(1, len(self._records)):",
    ),
    Mutation(
        "the journal of an earlier start is not read",
        "aaa/node/outage.py",
        "self._records = journal.read()",
        "self._records = journal.read()[:0]",
    ),
    Mutation(
        "what another node took is taken over once more",
        "aaa/engine/outage.py",
        "    if session is not None:\n        return NOTHING, Ack(Outcome.REPEAT, session.head.id)\n",
        "",
    ),
    Mutation(
        "overspend of an outage is not counted",
        "aaa/engine/outage.py",
        'notices = (*changes.notices, *overspent(account, after, "outage"))',
        "notices = changes.notices",
    ),
    # rows
    Mutation(
        "a session row without what it used",
        "aaa/store/batch.py",
        "        session.deadline_us,\n        session.accrued_micro,\n        session.reserved_micro,\n        body_text(session),\n        session.head.id,",
        "        session.deadline_us,\n        0,\n        session.reserved_micro,\n        body_text(session),\n        session.head.id,",
    ),
    Mutation(
        "only one account's entries are written",
        "aaa/store/sqlite_rows.py",
        "entries += stage.entries",
        "entries = stage.entries",
    ),
    Mutation(
        "answers are not stored",
        "aaa/store/codec.py",
        "            [Raw(seen.text) for seen in session.seen],\n",
        "            (),\n",
    ),
    Mutation(
        "due sessions are not found",
        "aaa/store/sqlite_sql.py",
        "(account_id, id)<=(?,?) AND deadline<=?",
        "(account_id, id)<=(?,?) AND deadline<=? AND state=9",
    ),
]


def copy_project(place: Path) -> None:
    """The packages and the tests, without what was made by running them."""
    for name in ("aaa", "rating", "tests"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__", "data"))


def noticed(place: Path) -> str:
    """Run the simulator; the first run that finds something, "" when none does."""
    for nodes, seed, *more in RUNS:
        options = ("--nodes", nodes, "--seed", seed, "--sessions", str(SESSIONS), *more)
        done = ended(place, ("tests.sim", *options), TIMEOUT_S)
        if done is None or done.returncode:
            return " ".join((f"seed {seed} with {nodes}", *more))
    return ""


if __name__ == "__main__":
    run("Bugs planted in the engine, the node and the store", BUGS, copy_project, noticed)
