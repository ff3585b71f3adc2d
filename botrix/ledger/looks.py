"""What was looked at without a lease, as it is recorded: neighbours that saw the same as one. Pure.

Of two results for one account the first counts: who was looked at has the negative number of the
look as its time, which the write compares. So nothing else need guard it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from botrix.ledger.notes import Note, of_result
from botrix.ledger.slices import JobRow
from botrix.model import Result
from botrix.states import JobStatus, Prospect, Stage


class Run(msgspec.Struct, frozen=True, gc=False):
    """Accounts of a job, first and last included, that were all looked at and saw the same."""

    job_id: str
    look: int
    prospect: Prospect | None
    moved: bool
    first: int
    last: int


def runs(looked: Iterable[Result]) -> list[Run]:
    """Of a flush there are few: accounts are looked at in their order, more or less."""
    found: list[Run] = []
    first = before = None
    for one in sorted(looked, key=_by_index):
        if first is None or before is None or not _together(before, one):
            if first is not None and before is not None:
                found.append(_run(first, before))
            first = one
        before = one
    if first is not None and before is not None:
        found.append(_run(first, before))
    return found


def _by_index(one: Result) -> tuple[str, int]:
    return one.job_id, one.index


def _together(a: Result, b: Result) -> bool:
    return (
        b.index - a.index == 1
        and a.prospect is b.prospect
        and a.moved is b.moved
        and a.look == b.look
        and a.job_id == b.job_id
    )


def _run(first: Result, last: Result) -> Run:
    return Run(first.job_id, first.look, first.prospect, first.moved, first.index, last.index)


def is_looked_at(job: JobRow | None, run: Run) -> bool:
    """Whether that look is still under way."""
    return (
        job is not None
        and job.stage in (Stage.PLAN, Stage.CHECK)
        and job.look == run.look - 1
        and job.status in (JobStatus.PENDING, JobStatus.RUNNING)
    )


def unseen(results: Sequence[Result], session: str) -> list[Note]:
    """Of those that could not be looked at: they are claimed again, with leases."""
    return [of_result(one, one.status, session) for one in results if not one.look]
