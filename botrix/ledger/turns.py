"""Where a job turns: it was looked at and waits to be applied, its canary is done, or more failed
than may. Decided on rows that the database has read and locked. Pure.

Both ledgers ask it of guarded jobs only (`slices.GUARDED`), after their counters have moved.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import structs

from botrix.ledger.looks import Run
from botrix.model import JobState, Result
from botrix.states import Happening, JobStatus, Prospect, Stage, Waits


class Guarded(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A job's row: the columns of GUARDED_COLUMNS, in their order. canary_left and canary_failed:
    of the accounts below `reach`, how many are not final, and how many failed."""

    id: str
    status: str
    stage: str
    count: int
    ended: int
    failed: int
    look: int
    looked: int
    moved: int
    reach: int | None
    gate: float | None
    max_failures: int | None
    paused: bool | int
    canary_left: int | None
    canary_failed: int | None


_ENDED = "j.created + j.existing + j.failed + j.cancelled + j.deleted"
_CANARY_ENDED = f"j.stage = 'create' AND {_ENDED} >= j.reach"
_OF_CANARY = (
    "(SELECT count(*) FROM accounts a WHERE a.job_id = j.id AND a.idx < j.reach AND a.status {})"
)
_FAILED = "= 'failed'"
_FINAL = "IN ('created', 'existing', 'failed', 'cancelled', 'deleted')"
GUARDED_COLUMNS = (
    f"j.id, j.status, j.stage, j.count, {_ENDED}, j.failed, j.look,"
    " j.to_create + j.to_adopt + j.to_conflict, j.moved, j.reach, j.gate,"
    " j.max_failures, j.paused,"
    f" CASE WHEN {_CANARY_ENDED} THEN CASE WHEN j.reach < j.count THEN j.reach ELSE j.count END"
    f" - {_OF_CANARY.format(_FINAL)} END,"
    f" CASE WHEN {_CANARY_ENDED} THEN {_OF_CANARY.format(_FAILED)} END"
)


class Turn(msgspec.Struct, frozen=True):
    """The job as it goes on. waits: None where it goes on at once."""

    id: str
    stage: str
    waits: Waits | None
    look: int
    reach: int | None

    @property
    def happening(self) -> Happening:
        return Happening.RELEASED if self.waits is None else Happening.WAITS


def counted(looked: Iterable[tuple[Result | Run, int]]) -> list[tuple[str, int, int, int, int]]:
    """By job, in their order: how many would be created, adopted, in conflict; how many moved. Each
    with the number of accounts that it stands for."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one, n in looked:
        counts[one.job_id][str(one.prospect)] += n
        counts[one.job_id]["moved"] += n * one.moved
    return [
        (job, n[Prospect.CREATE], n[Prospect.ADOPT], n[Prospect.CONFLICT], n["moved"])
        for job, n in sorted(counts.items())
    ]


def turned(states: Sequence[JobState], turns: Sequence[Turn]) -> list[JobState]:
    """As they are after that."""
    by_id = {one.id: one for one in turns}
    return [
        structs.replace(state, stage=Stage(by_id[state.id].stage), waits=by_id[state.id].waits)
        if state.id in by_id else state
        for state in states
    ]  # fmt: skip


def turn(job: Guarded) -> Turn | None:
    """None: it goes on as it does."""
    if job.status not in (JobStatus.PENDING, JobStatus.RUNNING) or job.paused:
        return None
    match job.stage:
        case Stage.PLAN | Stage.CHECK:
            return _looked(job) if job.looked + job.ended >= job.count else None
        case Stage.CREATE:
            return _created(job)
        case _:
            return None


def _looked(job: Guarded) -> Turn:
    if job.stage == Stage.CHECK and not job.moved:
        return Turn(job.id, Stage.CREATE, None, job.look + 1, job.reach)
    return Turn(job.id, Stage.PLAN, Waits.PLAN, job.look, job.reach)


def _created(job: Guarded) -> Turn | None:
    if job.max_failures is not None and job.failed > job.max_failures:
        return Turn(job.id, job.stage, Waits.FAILURES, job.look, job.reach)
    if job.reach is None or job.canary_left is None or job.canary_left > 0:
        return None
    well = job.gate is not None and (job.canary_failed or 0) <= job.gate * job.reach
    if well or job.reach >= job.count:
        return Turn(job.id, job.stage, None, job.look, None)
    return Turn(job.id, job.stage, Waits.CANARY, job.look, job.reach)
