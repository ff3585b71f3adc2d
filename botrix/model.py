"""The words of Botrix as data: jobs, accounts, outcomes, and which states may follow which.

Pure: nothing in here reads a clock, a socket or a file. The CHECK constraints of the ledger are
written from these enumerations; a test compares the transitions with those in ARCHITECTURE.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

DEFAULT_TENANT = "default"
DEFAULT_DIRECTORY = "local"
MAX_ACCOUNTS = 1_000_000
SLICE = 500
"""At most so many accounts of one job are taken by one claim."""
SUSPECT = 2
"""An account whose session was lost so often is claimed alone: it may be what kills workers."""
POISON = 3
"""The loss at which an account is set aside."""


class Lane(StrEnum):
    """The three lanes of the line, which are the three priorities of a job."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Source(StrEnum):
    """How a job came in."""

    GENERATE = "generate"
    IMPORT = "import"
    RAW = "raw"


class JobStatus(StrEnum):
    """The states of a job."""

    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


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


class Scope(StrEnum):
    """What a key may do, of its own tenant. admin: keys and the audit record."""

    READ = "read"
    SUBMIT = "submit"
    REVEAL = "reveal"
    OPERATE = "operate"
    ADMIN = "admin"


class Role(StrEnum):
    """A named set of scopes; see ROLE_SCOPES."""

    READER = "reader"
    SUBMITTER = "submitter"
    REVEALER = "revealer"
    OPERATOR = "operator"
    ADMIN = "admin"


ROLE_SCOPES = {
    Role.READER: frozenset({Scope.READ}),
    Role.SUBMITTER: frozenset({Scope.READ, Scope.SUBMIT}),
    Role.REVEALER: frozenset({Scope.READ, Scope.REVEAL}),
    Role.OPERATOR: frozenset({Scope.READ, Scope.SUBMIT, Scope.OPERATE}),
    Role.ADMIN: frozenset(Scope),
}
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

JOB_TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.PENDING: frozenset({JobStatus.RUNNING, JobStatus.CANCELLING}),
    JobStatus.RUNNING: frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLING}),
    JobStatus.CANCELLING: frozenset({JobStatus.CANCELLED}),
    JobStatus.FAILED: frozenset({JobStatus.RUNNING, JobStatus.COMPLETED}),
    JobStatus.COMPLETED: frozenset(),
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
        }
    ),
    AccountStatus.UNSURE: frozenset({AccountStatus.LEASED}),
    AccountStatus.FAILED: frozenset({AccountStatus.PLANNED, AccountStatus.CREATED}),
    AccountStatus.CREATED: frozenset({AccountStatus.DELETED}),
    AccountStatus.EXISTING: frozenset(),
    AccountStatus.CANCELLED: frozenset({AccountStatus.DELETED}),
    AccountStatus.DELETED: frozenset(),
}


class Happening(StrEnum):
    """What the history of a job notes beside the states that accounts went into.

    leased: once more, after the first lease. lost, freed: the lease ended with its session, which
    was declared lost or ended by itself. refused: a result of a lease that was no longer held.
    put back: the line had lost the job. held, goes on: its directory was paused, and is used again.
    landed late, removed: found by the reconciler.
    """

    LEASED = "leased"
    LOST = "lost"
    FREED = "freed"
    REFUSED = "refused"
    RENAMED = "renamed"
    PUT_BACK = "put back"
    HELD = "held"
    RELEASED = "goes on"
    CANCEL = "cancel asked"
    RETRY = "retry asked"
    LANDED = "landed late"
    REMOVED = "removed"
    LOOKED = "looked again"


ATTRIBUTES = (
    "title",
    "phone",
    "employee_number",
    "department",
    "division",
    "organization",
    "cost_center",
    "manager",
)
"""What may be said of a person besides names and e-mail. manager: a user name."""


def tag_of(job_id: str, index: int) -> str:
    """The ownership mark that an account carries at the directory."""
    return f"botrix:{job_id}:{index}"


class Person(msgspec.Struct, frozen=True, gc=False):
    """Who an account is for, before it has a password: decided once, then stored. attributes: by
    the names of ATTRIBUTES, what a roster said besides; groups: to be a member of."""

    username: str
    email: str
    given_name: str
    family_name: str
    display_name: str
    groups: tuple[str, ...] = ()
    attributes: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job as submitted. `accounts` are given for rosters only; else they are planned at claim.

    `tries` is how many calls an account may cost at most (retries + 1). groups: that all planned
    accounts are to be in.
    """

    id: str
    count: int
    source: Source = Source.GENERATE
    lane: Lane = Lane.NORMAL
    directory: str = DEFAULT_DIRECTORY
    template: str | None = None
    tenant_id: str = DEFAULT_TENANT
    tries: int = 4
    groups: tuple[str, ...] = ()


class PlannedAccount(msgspec.Struct, frozen=True, gc=False):
    """An account with everything decided; `sealed` is its sealed password."""

    job_id: str
    index: int
    person: Person
    sealed: bytes
    row: int | None = None

    def __repr__(self) -> str:
        return f"PlannedAccount({tag_of(self.job_id, self.index)!r})"


class LeasedAccount(msgspec.Struct, frozen=True, gc=False, eq=False):
    """An account that this session may create now.

    attempt: the fence, raised by each lease. tries_left: calls that the user was promised, this one
    included. find_first: an earlier call may have landed. find_only: its job is being cancelled.
    in_doubt: some earlier call under this name was not answered. sealed: None once it was erased,
    which is not before its job has ended. template: of a generated one (""
    is the default one); None where a roster named it.
    """

    tenant_id: str
    directory: str
    job_id: str
    index: int
    attempt: int
    person: Person
    sealed: bytes | None
    tries_left: int = 4
    tries_used: int = 0
    find_first: bool = False
    find_only: bool = False
    template: str | None = None
    in_doubt: bool = False

    @property
    def unguessable(self) -> bool:
        """Whether its user name holds random characters, so that there can be another one."""
        return self.template is not None and (not self.template or "{random}" in self.template)

    def __repr__(self) -> str:
        return f"LeasedAccount({self.tag!r}, attempt={self.attempt})"

    @property
    def tag(self) -> str:
        return tag_of(self.job_id, self.index)

    @property
    def key(self) -> tuple[str, int]:
        return (self.job_id, self.index)


class OutcomeKind(StrEnum):
    """What one attempt came to.

    created: it exists now and is ours. existing: it existed already and is of another of our jobs.
    retry: it was surely not created; trying again may help. rejected: surely not created, and
    trying again will not help. conflict: the name belongs to somebody else. unknown: cannot tell.
    """

    CREATED = "created"
    EXISTING = "existing"
    RETRY = "retry"
    REJECTED = "rejected"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """One attempt's end; `reason` is a short word, `detail` a line for people without secrets.
    counted: whether it uses up one of the calls that the user was promised. retry_after: seconds.
    in_doubt: whatever it came to, some call was not answered and may land yet.
    """

    kind: OutcomeKind
    entry_id: str | None = None
    reason: str | None = None
    detail: str | None = None
    retry_after: float | None = None
    counted: bool = True
    in_doubt: bool = False


class Result(msgspec.Struct, frozen=True, gc=False):
    """What is recorded of one attempt: the account's next state, and why.

    delay: seconds until it may be claimed again (only for planned and unsure).
    counted: whether the attempt used up one of the calls that the user was promised. in_doubt: a
    call may have been made whose answer is not known.
    """

    job_id: str
    index: int
    attempt: int
    status: AccountStatus
    entry_id: str | None = None
    reason: str | None = None
    detail: str | None = None
    delay: float = 0.0
    counted: bool = True
    username: str = ""
    in_doubt: bool = False


class JobState(msgspec.Struct, frozen=True, gc=False):
    """A job's row as status, results and events show it."""

    id: str
    tenant_id: str
    status: JobStatus
    lane: Lane
    directory: str
    count: int
    created: int = 0
    existing: int = 0
    failed: int = 0
    cancelled: int = 0
    deleted: int = 0
    retried: int = 0

    def counts(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "created": self.created,
            "existing": self.existing,
            "failed": self.failed,
            "cancelled": self.cancelled,
            "deleted": self.deleted,
        }
