"""What the ledger must hold: jobs, accounts and sessions as plain objects.

Counters are no fields here but counts of accounts, so that the ledger's, which it moves one by one,
are held against what they stand for. Each change of a state is looked up in the drawn transitions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from botrix.model import SUSPECT, JobState, NewJob, Person
from botrix.states import (
    ACCOUNT_TRANSITIONS,
    FINAL_ACCOUNT,
    FINAL_JOB,
    JOB_TRANSITIONS,
    AccountStatus,
    JobStatus,
)

WAITING = (AccountStatus.PLANNED, AccountStatus.UNSURE)
_CANCELLED = (JobStatus.CANCELLING, JobStatus.CANCELLED)


@dataclass
class Session:
    beat: int = 0
    status: str = "live"
    ended_at: float | None = None

    @property
    def live(self) -> bool:
        return self.status == "live"


@dataclass
class Account:
    """person and sealed are decided once (rule R2), but for a rename."""

    index: int
    person: Person
    sealed: bytes
    status: AccountStatus = AccountStatus.PLANNED
    session: str | None = None
    attempt: int = 0
    tries: int = 0
    crashes: int = 0
    in_doubt: bool = False
    not_before: float = 0.0
    reason: str | None = None

    def becomes(self, status: AccountStatus) -> None:
        same = status is self.status
        assert same or status in ACCOUNT_TRANSITIONS[self.status], f"{self.status} to {status}"
        self.status = status

    @property
    def suspect(self) -> bool:
        return self.crashes >= SUSPECT and self.status in WAITING

    @property
    def claimable(self) -> bool:
        """By an ordinary claim, at its time."""
        return self.crashes < SUSPECT and self.status in WAITING


@dataclass
class Job:
    """unplanned: accounts that were cancelled before they had a row. due_at: as last read."""

    new: NewJob
    place: int | None
    status: JobStatus = JobStatus.PENDING
    next_index: int = 0
    unplanned: int = 0
    retried: int = 0
    due_at: float | None = None
    finished_at: float | None = None
    look_at: float | None = None
    looked_at: float | None = None
    accounts: dict[int, Account] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        return self.status not in FINAL_JOB

    @property
    def cancelled(self) -> bool:
        return self.status in _CANCELLED

    @property
    def fresh(self) -> int:
        """Accounts that a claim may still plan."""
        return 0 if self.cancelled else self.new.count - self.next_index

    def counts(self) -> Counter[str]:
        counts = Counter(account.status.value for account in self.accounts.values())
        counts["cancelled"] += self.unplanned
        return counts

    def state(self) -> JobState:
        counts = self.counts()
        return JobState(
            self.new.id, self.new.tenant_id, self.status, self.new.lane, self.new.directory,
            self.new.count, *(counts[name] for name in FINAL_ACCOUNT), self.retried,
        )  # fmt: skip

    def becomes(self, status: JobStatus) -> None:
        same = status is self.status
        assert same or status in JOB_TRANSITIONS[self.status], f"{self.status} to {status}"
        self.status = status

    def due(self, now: float) -> list[Account]:
        """What an ordinary claim may take again now; of a cancelled job only what is unsure."""
        return [
            account
            for account in self.accounts.values()
            if account.claimable
            and account.not_before <= now
            and not (self.cancelled and account.status is AccountStatus.PLANNED)
        ]

    def planned(self) -> list[Account]:
        """What a sweep cancels."""
        return [a for a in self.accounts.values() if a.status is AccountStatus.PLANNED]

    def settle(self, now: float) -> None:
        """Final once all accounts are, and provisional where one of them may land late."""
        counts = self.counts()
        if sum(counts[name] for name in FINAL_ACCOUNT) < self.new.count:
            return
        was_open = self.open
        if self.cancelled:
            self.becomes(JobStatus.CANCELLED)
        else:
            self.becomes(JobStatus.FAILED if counts["failed"] else JobStatus.COMPLETED)
        if was_open:
            self.place, self.finished_at = None, now
            if counts["failed"] + counts["cancelled"]:
                self.look_at = now


class Expected:
    """given: the highest place so far; each new one must be higher. leases: every lease that was
    ever given, as (job, index, attempt)."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.sessions: dict[str, Session] = {}
        self.jobs: dict[str, Job] = {}
        self.keys: dict[tuple[str, str], tuple[str, str]] = {}
        self.given = 0
        self.leases: set[tuple[str, int, int]] = set()

    def live(self, session: str) -> bool:
        return session in self.sessions and self.sessions[session].live

    def gone(self) -> list[str]:
        return [name for name, session in self.sessions.items() if not session.live]

    def accounts(self) -> Iterator[tuple[Job, Account]]:
        for job in self.jobs.values():
            for account in job.accounts.values():
                yield job, account

    def account(self, job_id: str, index: int) -> Account | None:
        return self.jobs[job_id].accounts.get(index) if job_id in self.jobs else None

    def held(self, session: str) -> list[tuple[Job, Account]]:
        return [(job, account) for job, account in self.accounts() if account.session == session]

    def suspects(self) -> list[tuple[Job, Account]]:
        """That may be claimed now, each alone."""
        return [
            (job, account)
            for job, account in self.accounts()
            if account.suspect and account.not_before <= self.now and job.open
        ]

    def place(self, job: Job, place: int) -> None:
        """Unique, since each is higher than all before."""
        assert place > self.given, f"{job.new.id} was given place {place} after {self.given}"
        job.place, self.given = place, place

    def lease(self, session: str, job: Job, account: Account) -> None:
        account.attempt += 1
        key = (job.new.id, account.index, account.attempt)
        assert key not in self.leases, f"two claims got {key}"
        self.leases.add(key)
        account.becomes(AccountStatus.LEASED)
        account.session = session
