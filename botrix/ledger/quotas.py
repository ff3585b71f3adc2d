"""What a tenant may still ask for, decided on rows that the database has read and locked. Pure.

Both ledgers read the quotas and what is used of them in the transaction that enters the jobs, so
that no number of calls at once gets more than is left. Jobs that came as raw entries are counted
against nothing, and so are rosters that are still being read, and what undoes a job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from botrix.ledger.ledger import Submission, Submitted
from botrix.model import NewJob

DAY = 86_400
_AGAIN = 60.0
"""Seconds after which a tenant with too many open jobs may ask again; nobody knows the time."""
QUOTA_COLUMNS = "t.id, t.open_jobs, t.accounts_per_job, t.accounts_per_day, t.day, t.accounts_today"
LIMITED = (
    "(t.open_jobs IS NOT NULL OR t.accounts_per_job IS NOT NULL OR t.accounts_per_day IS NOT NULL)"
)
COUNTED = (
    "status IN ('pending', 'running', 'cancelling') AND NOT importing AND source <> 'raw'"
    " AND undoes IS NULL"
)
"""Which jobs count as open; the first condition is that of ix_jobs_open."""


class Quota(msgspec.Struct, array_like=True, gc=False):
    """One tenant's: QUOTA_COLUMNS in their order; open: how many jobs are, if that is bounded."""

    id: str
    open_jobs: int | None
    accounts_per_job: int | None
    accounts_per_day: int | None
    day: int
    accounts_today: int
    open: int = 0

    def enter(self, job: NewJob, now: float) -> Submitted | None:
        """Counts the job; or the refusal, which counts nothing."""
        today = int(now // DAY)
        if self.day < today:
            self.day, self.accounts_today = today, 0
        refusal = self._refusal(job, (self.day + 1) * DAY - now)
        if refusal is None:
            self.open += 1
            self.accounts_today += job.count
        return refusal

    def _refusal(self, job: NewJob, midnight: float) -> Submitted | None:
        if (reason := too_many(self.id, job.count, self.accounts_per_job)) is not None:
            return Submitted(job.id, refused=reason)
        if self.open_jobs is not None and self.open >= self.open_jobs:
            reason = f"tenant {self.id} has {self.open} open jobs of {self.open_jobs} that it may"
            return Submitted(job.id, refused=f"{reason}; wait until one ends", retry_after=_AGAIN)
        most, used = self.accounts_per_day, self.accounts_today
        if most is None or used + job.count <= most:
            return None
        reason = f"tenant {self.id} may ask for {most} accounts a day"
        if job.count > most:
            return Submitted(job.id, refused=f"{reason}, not for {job.count}; ask for fewer")
        reason = f"{reason}, and has asked for {used} today; ask for fewer, or after midnight UTC"
        return Submitted(job.id, refused=reason, retry_after=midnight)


def too_many(tenant: str, count: int, most: int | None) -> str | None:
    """Why a job of so many accounts is refused, if it is."""
    if most is None or count <= most:
        return None
    return (
        f"tenant {tenant} may ask for {most} accounts a job, not for {count}; make more jobs of it"
    )


def sift(
    submissions: Iterable[Submission], quotas: Mapping[str, Quota], now: float
) -> tuple[list[Submission], dict[str, Submitted]]:
    """Those that may enter, and by job id the refusals."""
    entering, refused = [], {}
    for one in submissions:
        quota = quotas.get(one.job.tenant_id)
        refusal = quota.enter(one.job, now) if quota is not None else None
        if refusal is None:
            entering.append(one)
        else:
            refused[one.job.id] = refusal
    return entering, refused
