"""The states of jobs, accounts, sessions, directories and deliveries, and which may follow which.

The CHECK constraints of the ledger are written from these enumerations; a test compares the
transitions with those in ARCHITECTURE.md.
"""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """The states of a job."""

    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """What the workers do with a job's accounts. plan: look what would become of each, then wait.
    check: look again, and create unless something moved since the plan. remove: undo another job.
    """

    PLAN = "plan"
    CHECK = "check"
    CREATE = "create"
    REMOVE = "remove"


class Waits(StrEnum):
    """Why a paused job waits for a person. plan: it was looked at, and is to be applied. canary:
    its first accounts are done. failures: more failed than may. paused: somebody said so."""

    PLAN = "plan"
    CANARY = "canary"
    FAILURES = "failures"
    PAUSED = "paused"


class Prospect(StrEnum):
    """What would become of an account, by a look at the directory. adopt: another job of the tenant
    made it, so that it would count as existing. conflict: the name is somebody else's."""

    CREATE = "create"
    ADOPT = "adopt"
    CONFLICT = "conflict"


class OnConflict(StrEnum):
    """What becomes of an account that another job of the same tenant made: existing, or failed."""

    SKIP = "skip"
    FAIL = "fail"


class DeliveryStatus(StrEnum):
    """Of an event on its way to a webhook. dead: it was tried often enough."""

    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"


class Duty(StrEnum):
    """What an operator wants of a worker. quiet: take nothing more; drain: and end when nothing is
    held. A session without any is of a release that knows none."""

    WORK = "work"
    QUIET = "quiet"
    DRAIN = "drain"


def duty_of(text: str | None) -> Duty | None:
    """As it stands in the ledger; None also for one of a later release."""
    return next((duty for duty in Duty if duty == text), None)


class AccountStatus(StrEnum):
    """The states of an account."""

    PLANNED = "planned"
    LEASED = "leased"
    UNSURE = "unsure"
    CREATED = "created"
    EXISTING = "existing"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"


class SessionStatus(StrEnum):
    """The states of a session: `lost` was declared by a peer, `ended` by itself."""

    LIVE = "live"
    LOST = "lost"
    ENDED = "ended"


class DirectoryStatus(StrEnum):
    """Whether a directory is used. paused: its jobs wait, for it could not be used. trying: one
    call at a time, after a probe went well. given up: was paused so long that its jobs shall end.
    """

    WORKING = "working"
    PAUSED = "paused"
    TRYING = "trying"
    GIVEN_UP = "given up"


FINAL_JOB = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})
OPEN_JOB = frozenset(JobStatus) - FINAL_JOB
FINAL_ACCOUNT = (
    AccountStatus.CREATED,
    AccountStatus.EXISTING,
    AccountStatus.FAILED,
    AccountStatus.CANCELLED,
    AccountStatus.DELETED,
)
"""In the order of a job's counters: each is also the name of a column of `jobs`."""
TALLIED = (
    *(f"jobs_{status}" for status in JobStatus),
    *(f"accounts_{name}" for name in ("count", *FINAL_ACCOUNT, "retried")),
)
"""The columns of `tallies`: how many jobs there are of a state, and the sums of their counters."""

JOB_STATUS_OF = {one.value: one for one in JobStatus}
STAGE_OF = {one.value: one for one in Stage}
ON_CONFLICT_OF = {one.value: one for one in OnConflict}
"""By value, for what is read by the thousand: to call the class takes ten times as long."""

JOB_TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.RUNNING, JobStatus.CANCELLING}),
    JobStatus.RUNNING: frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLING}),
    JobStatus.CANCELLING: frozenset({JobStatus.CANCELLED}),
    JobStatus.FAILED: frozenset({JobStatus.RUNNING, JobStatus.COMPLETED}),
    JobStatus.COMPLETED: frozenset({JobStatus.RUNNING}),
    JobStatus.CANCELLED: frozenset(),
}

ACCOUNT_TRANSITIONS: dict[AccountStatus, frozenset[AccountStatus]] = {
    AccountStatus.PLANNED: frozenset({AccountStatus.LEASED, AccountStatus.CANCELLED}),
    AccountStatus.LEASED: frozenset(
        {
            AccountStatus.CREATED,
            AccountStatus.EXISTING,
            AccountStatus.FAILED,
            AccountStatus.CANCELLED,
            AccountStatus.PLANNED,
            AccountStatus.UNSURE,
            AccountStatus.DELETED,
        }
    ),
    AccountStatus.UNSURE: frozenset({AccountStatus.LEASED}),
    AccountStatus.FAILED: frozenset({AccountStatus.PLANNED, AccountStatus.CREATED}),
    AccountStatus.CREATED: frozenset({AccountStatus.DELETED, AccountStatus.PLANNED}),
    AccountStatus.EXISTING: frozenset(),
    AccountStatus.CANCELLED: frozenset({AccountStatus.DELETED}),
    AccountStatus.DELETED: frozenset(),
}


class Happening(StrEnum):
    """What the history of a job notes beside the states that accounts went into.

    leased: once more, after the first lease. lost, freed: the lease ended with its session, which
    was declared lost or ended by itself. refused: a result of a lease that was no longer held.
    put back: the line had lost the job. held, goes on: its directory was paused, and is used again.
    waits: for a person, see Waits; it goes on afterwards. applied: a plan. paused, resumed,
    approved, released: somebody said so; after a release more accounts may fail.
    landed late: found by the reconciler. removed: by it, or by an undo. gone, to be made anew,
    taken over: by `botrix reconcile`, which found no entry any more, or one that was changed.
    """

    LEASED = "leased"
    LOST = "lost"
    FREED = "freed"
    REFUSED = "refused"
    RENAMED = "renamed"
    PUT_BACK = "put back"
    HELD = "held"
    RELEASED = "goes on"
    WAITS = "waits"
    APPLIED = "apply asked"
    CANCEL = "cancel asked"
    RETRY = "retry asked"
    UNDO = "undo asked"
    PAUSED = "paused"
    RESUMED = "resumed"
    APPROVED = "approved"
    LET_ON = "released"
    LANDED = "landed late"
    REMOVED = "removed"
    LOOKED = "looked again"
    GONE = "gone"
    ANEW = "to be made anew"
    TAKEN_OVER = "taken over"
