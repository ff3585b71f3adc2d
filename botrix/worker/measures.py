"""What a worker sees of its own work, for `/metrics`. Noted once a flush, a claim or a call, never
once an account; read by whoever scrapes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from botrix.creators.gate import Answered
from botrix.histogram import CALL, JOB, Histogram
from botrix.ledger.ledger import Recorded
from botrix.model import JobState, Result
from botrix.states import FINAL_ACCOUNT, FINAL_JOB, JobStatus

T = TypeVar("T")
Directory = tuple[str, str]
"""Tenant and name."""
MOST = 100
OTHERS = ("_others", "_others")
"""So many directories are told apart; all others count together."""


class Measures:
    """accounts, jobs and answers: by directory and what came of them. creates: the time of calls
    that create, with their wait for the gate; lasted: of jobs, from accept to their end. freed:
    accounts whose session was gone; put_back: jobs that the line had lost. lost: own sessions."""

    def __init__(self) -> None:
        self.accounts: Counter[tuple[Directory, str]] = Counter()
        self.jobs: Counter[tuple[Directory, str]] = Counter()
        self.answers: Counter[tuple[Directory, str]] = Counter()
        self.creates: dict[Directory, Histogram] = {}
        self.lasted = {status: Histogram(JOB) for status in JobStatus if status in FINAL_JOB}
        self.flushes, self.claims = Histogram(CALL), Histogram(CALL)
        self.stale = self.freed = self.put_back = self.rejected = self.lost = 0
        self._known: set[Directory] = set()

    def recorded(self, done: Sequence[Result], recorded: Recorded) -> None:
        """One flush. A result whose job did not move was not accepted."""
        self.stale += len(recorded.stale)
        missed = set(recorded.stale)
        moved = {job.id: (job.tenant_id, job.directory) for job in recorded.jobs}
        counted = Counter(
            (moved[one.job_id], one.status, one.counted, one.look)
            for one in done
            if one.job_id in moved and (not missed or (one.job_id, one.index) not in missed)
        )
        for (directory, status, tried, look), n in counted.items():
            self.accounts[self._told_apart(directory), _outcome(status, tried, look)] += n
        self.moved(recorded.jobs)

    def moved(self, jobs: Sequence[JobState]) -> None:
        """Those that are final have just become so."""
        ended = [job for job in jobs if job.status in FINAL_JOB]
        counted = Counter((job.tenant_id, job.directory, job.status) for job in ended)
        for (tenant, directory, status), n in counted.items():
            self.jobs[self._told_apart((tenant, directory)), status.value] += n
        for job in ended:
            if job.lasted is not None:
                self.lasted[job.status].note(job.lasted)

    def created(self, directory: Directory) -> Callable[[float], None]:
        """To be told the seconds of each call that creates there."""
        key = self._told_apart(directory)
        if key not in self.creates:
            self.creates[key] = Histogram(CALL)
        return self.creates[key].note

    def answered(self, directory: Directory, answers: dict[Answered, int]) -> None:
        """By a directory, since this was last told."""
        key = self._told_apart(directory)
        for how, n in answers.items():
            self.answers[key, how.value] += n

    def _told_apart(self, directory: Directory) -> Directory:
        if directory in self._known:
            return directory
        if len(self._known) >= MOST:
            return OTHERS
        self._known.add(directory)
        return directory


def _outcome(status: str, tried: bool, look: int) -> str:
    """A state in which an account stays, or why it does not."""
    if status in FINAL_ACCOUNT:
        return str(status)
    if look:
        return "looked at"
    return "retried" if tried else "handed back"
