"""The words of Botrix as data: jobs, accounts, outcomes. Their states are in `states`.

Pure: nothing in here reads a clock, a socket or a file.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from botrix.states import AccountStatus, JobStatus, OnConflict, Prospect, Stage, Waits

DEFAULT_TENANT = "default"
DEFAULT_DIRECTORY = "local"
MAX_ACCOUNTS = 1_000_000
SLICE = 500
"""At most so many accounts of one job are taken by one claim."""
SUSPECT = 2
"""An account whose session was lost so often is claimed alone: it may be what kills workers."""
POISON = 3
"""The loss at which an account is set aside."""
MAX_DELETES = 1000
"""More accounts than that are removed only by who says how many may be."""
DISABLED = "disabled"
"""The reason of an account that an undo left at the directory, where nobody can sign in as it."""
GONE = "gone from the directory"
"""The reason of one that `botrix reconcile` noted as deleted: should it come back, it stays."""


class Lane(StrEnum):
    """The three lanes of the line, which are the three priorities of a job."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


LANE_OF = {one.value: one for one in Lane}
"""By value, as `states.JOB_STATUS_OF`."""


class Source(StrEnum):
    """How a job came in."""

    GENERATE = "generate"
    IMPORT = "import"
    RAW = "raw"


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


def job_of(tag: str | None) -> str:
    """Which job a tag names; "" where it is none of ours."""
    kind, _, rest = (tag or "").partition(":")
    return rest.rpartition(":")[0] if kind == "botrix" else ""


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


class NewJob(msgspec.Struct, frozen=True):
    """A job as submitted. `accounts` are given for rosters only; else they are planned at claim.

    `tries` is how many calls an account may cost at most (retries + 1). groups: that all planned
    accounts are to be in. reach: only accounts of lower index are claimed (the canary); gate: the
    share of them that may fail without somebody's approval, None where one must approve.
    max_failures: how many accounts may fail before the job waits. not_before: a time of the ledger.
    traceparent: of what asked for it.
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
    stage: Stage = Stage.CREATE
    reach: int | None = None
    gate: float | None = None
    max_failures: int | None = None
    on_conflict: OnConflict = OnConflict.SKIP
    not_before: float | None = None
    traceparent: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is to be run at once and to its end, as most are."""
        return (
            self.stage is Stage.CREATE
            and self.on_conflict is OnConflict.SKIP
            and self.reach is None
            and self.gate is None
            and self.max_failures is None
            and self.not_before is None
        )


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
    is the default one); None where a roster named it. undoes, row: of an account that is to be
    removed, the job and index that made it; entry_id: under which it was then known. traceparent:
    of what asked for its job. loose: handed out without a lease, to be looked at alone.
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
    stage: Stage = Stage.CREATE
    on_conflict: OnConflict = OnConflict.SKIP
    look: int = 0
    prospect: Prospect | None = None
    guarded: bool = False
    undoes: str | None = None
    row: int | None = None
    entry_id: str | None = None
    traceparent: str | None = None
    loose: bool = False

    @property
    def unguessable(self) -> bool:
        """Whether its user name holds random characters, so that there can be another one."""
        return self.template is not None and (not self.template or "{random}" in self.template)

    def __repr__(self) -> str:
        return f"LeasedAccount({self.tag!r}, attempt={self.attempt})"

    @property
    def tag(self) -> str:
        """That the entry bears: of the job that made it."""
        if self.undoes is not None and self.row is not None:
            return tag_of(self.undoes, self.row)
        return tag_of(self.job_id, self.index)

    @property
    def key(self) -> tuple[str, int]:
        return (self.job_id, self.index)


class OutcomeKind(StrEnum):
    """What one attempt came to.

    created: it exists now and is ours. existing: it existed already and is of another of our jobs.
    retry: it was surely not created; trying again may help. rejected: surely not created, and
    trying again will not help. conflict: the name belongs to somebody else. unknown: cannot tell.
    looked: for a plan; nothing was done. deleted: it was to be removed, and is not there any more.
    """

    CREATED = "created"
    EXISTING = "existing"
    RETRY = "retry"
    REJECTED = "rejected"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"
    LOOKED = "looked"
    DELETED = "deleted"


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
    prospect: Prospect | None = None


class Result(msgspec.Struct, frozen=True, gc=False):
    """What is recorded of one attempt: the account's next state, and why.

    delay: seconds until it may be claimed again (only for planned and unsure).
    counted: whether the attempt used up one of the calls that the user was promised. in_doubt: a
    call may have been made whose answer is not known. look: which look of the job's plan this was
    (from 1; 0: none), prospect: what it saw, moved: whether that is not what the look before saw.
    loose: of an account that was not leased.
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
    look: int = 0
    prospect: Prospect | None = None
    moved: bool = False
    guarded: bool = False
    traceparent: str | None = None
    loose: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it was created by a call that leaves nothing to be said, as most are."""
        return (
            self.status is AccountStatus.CREATED
            and self.reason is None
            and self.detail is None
            and self.counted
            and not self.in_doubt
        )


class JobState(msgspec.Struct, frozen=True, gc=False):
    """A job's row as status, results and events show it. waits: for a person, and why. lasted:
    seconds from its acceptance to its end, where it was this that ended it."""

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
    stage: Stage = Stage.CREATE
    waits: Waits | None = None
    lasted: float | None = None

    def counts(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "created": self.created,
            "existing": self.existing,
            "failed": self.failed,
            "cancelled": self.cancelled,
            "deleted": self.deleted,
        }
