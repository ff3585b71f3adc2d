"""Jobs on SQLite settle with their accounts: counters move, and what adds up is final."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence

from botrix.ledger.slices import JobRow
from botrix.ledger.sqlite_rows import as_json, write
from botrix.model import LANE_OF, JobState, Result
from botrix.states import FINAL_JOB, JOB_STATUS_OF, STAGE_OF, AccountStatus, JobStatus, Waits

AGAIN = (AccountStatus.PLANNED, AccountStatus.UNSURE)
"""Of an account that is claimed once more."""
_TALLY = (
    "UPDATE jobs SET status = t.status, created = t.created, existing = t.existing,"
    " failed = t.failed, cancelled = t.cancelled, deleted = t.deleted, retried = t.retried,"
    " updated_at = t.now, place = CASE WHEN t.over THEN NULL ELSE place END,"
    " finished_at = CASE WHEN t.over THEN coalesce(finished_at, t.now) ELSE finished_at END,"
    " look_at = CASE WHEN t.provisional THEN t.now ELSE look_at END,"
    " due_at = CASE WHEN t.over THEN NULL WHEN t.due IS NULL OR due_at < t.due THEN due_at"
    " ELSE t.due END"
    " FROM (WITH t (id, status, created, existing, failed, cancelled, deleted, retried, over,"
    " provisional, due, now) AS (VALUES {}) SELECT * FROM t) t WHERE jobs.id = t.id"
)
_TALLY_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_COMPLETE = (
    "UPDATE jobs SET status = 'completed', created = count, place = NULL, due_at = NULL,"
    " updated_at = ?1, finished_at = coalesce(finished_at, ?1)"
    " WHERE id IN (SELECT value FROM json_each(?2))"
)
"""Likewise, of jobs whose accounts all were created: without a row of values for each, which SQLite
would keep in a table of their own."""


class Tally:
    """What happened to one job's accounts, as changes of its counters."""

    def __init__(self) -> None:
        self.counts: defaultdict[str, int] = defaultdict(int)  # a Counter takes twice as long
        self.due: float | None = None

    @property
    def is_plain(self) -> bool:
        """Whether accounts were created and nothing else."""
        return len(self.counts) == 1 and "created" in self.counts

    def add(self, changes: Mapping[str, int]) -> None:
        for name, n in changes.items():
            self.counts[name] += n

    def count(self, status: str, not_before: float, result: Result | None = None) -> None:
        self.counts[status] += 1
        if status in AGAIN and result is not None and not result.look:
            self.counts["retried"] += int(result.counted)
            self.due = not_before if self.due is None else min(self.due, not_before)


def settle(
    db: sqlite3.Connection, moved: Sequence[tuple[JobRow, Tally]], now: float
) -> list[JobState]:
    """The update that makes the counters add up sets the final state; what then failed or was
    cancelled is provisional until it was looked for again."""
    rows, complete, states = [], [], []
    for job, tally in moved:
        n = tally.counts.get
        ends = created, existing, failed, cancelled, deleted = (
            job.created + n("created", 0), job.existing + n("existing", 0),
            job.failed + n("failed", 0), job.cancelled + n("cancelled", 0),
            job.deleted + n("deleted", 0),
        )  # fmt: skip
        retried = job.retried + n("retried", 0)
        over = created + existing + failed + cancelled + deleted == job.count
        status = _final(job.status, failed) if over else job.status
        ends_now = over and job.status not in FINAL_JOB
        if status == JobStatus.COMPLETED and tally.is_plain and created == job.count:
            complete.append(job.id)
        else:
            provisional = ends_now and failed + cancelled > 0
            rows.append((job.id, status, *ends, retried, over, provisional, tally.due, now))
        state = JobState(
            job.id, job.tenant_id, JOB_STATUS_OF[status], LANE_OF[job.lane], job.directory,
            job.count, created, existing, failed, cancelled, deleted, retried, STAGE_OF[job.stage],
            Waits(job.waits) if job.waits and not over else None,
            now - job.created_at if ends_now else None,
        )  # fmt: skip
        states.append(state)
    write(db, _TALLY, _TALLY_ROW, rows)
    if complete:
        db.execute(_COMPLETE, (now, as_json(complete)))
    return states


def _final(status: str, failed: int) -> str:
    if status in (JobStatus.CANCELLING, JobStatus.CANCELLED):
        return JobStatus.CANCELLED
    return JobStatus.FAILED if failed else JobStatus.COMPLETED
