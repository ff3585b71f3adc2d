"""What goes in and out, for people and for OpenAPI."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from botrix.api.times import Time
from botrix.creators.limits import OnUndo
from botrix.extra import MAX_GROUP, MAX_GROUPS, extra_of, groups_of
from botrix.model import MAX_ACCOUNTS, Lane, NewJob
from botrix.roles import Role
from botrix.states import (
    AccountStatus,
    DirectoryStatus,
    Duty,
    JobStatus,
    OnConflict,
    Prospect,
    Stage,
    Waits,
)

T = TypeVar("T")
MAX_EXPORT = 100_000
MAX_JOBS = 1000
_EXPORT = 20_000
"""Takes about a second, during which SQLite has no other writer, and 30 MB."""


_Group = Annotated[str, Field(min_length=1, max_length=MAX_GROUP, strict=True)]


class GenerateRequest(BaseModel):
    """A job for `count` accounts. groups: that all of them are to be in. dry_run: only look what
    would become of each account, and wait to be applied. canary: create so many, then wait for
    approval, unless at most max_error_rate (0 to 1) of them failed. max_failures: wait where more
    failed. on_conflict: whether an account that another job made is `existing` (skip) or failed
    (fail). not_before: when to begin."""

    model_config = ConfigDict(extra="forbid")
    count: Annotated[StrictInt, Field(ge=1, le=MAX_ACCOUNTS)]
    priority: Lane = Lane.NORMAL
    directory: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$", strict=True)] = "local"
    template: Annotated[str, Field(max_length=256, strict=True)] | None = None
    groups: Annotated[tuple[_Group, ...], Field(max_length=MAX_GROUPS)] = ()
    dry_run: StrictBool = False
    canary: Annotated[StrictInt, Field(ge=1, le=MAX_ACCOUNTS)] | None = None
    max_error_rate: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)] | None = (
        None
    )
    max_failures: Annotated[StrictInt, Field(ge=0, le=MAX_ACCOUNTS)] | None = None
    on_conflict: OnConflict = OnConflict.SKIP
    not_before: Time | None = None


class ApplyRequest(BaseModel):
    """roster_sha256: of the roster that whoever asks holds for the planned one, in hexadecimal."""

    model_config = ConfigDict(extra="forbid")
    roster_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", strict=True)] | None = None


class PlanView(BaseModel):
    """What would become of a job's accounts, as far as they were looked at. adopt: another job made
    it, so that it would count as existing. conflict: the name is somebody else's. invalid: rows
    that were left out. moved: how many changed between the last two looks."""

    create: int
    adopt: int
    conflict: int
    invalid: int
    moved: int


class UndoRequest(BaseModel):
    """count: how many accounts the job has created, so that nobody undoes another than he means.
    max_deletes: how many may be removed, where that are more than 1,000."""

    model_config = ConfigDict(extra="forbid")
    count: Annotated[StrictInt, Field(ge=1, le=MAX_ACCOUNTS)]
    max_deletes: Annotated[StrictInt, Field(ge=1, le=MAX_ACCOUNTS)] | None = None


class ExportRequest(BaseModel):
    """format: `csv` (in the clear), `sealed`: the same as an age file for `recipient`, a public key
    (`age1…`), or `cards`: a page to be printed, in the clear, whose cards bear `title` and the
    address `sign_in`. limit: passwords in this part, at most."""

    model_config = ConfigDict(extra="forbid")
    format: Literal["csv", "sealed", "cards"]
    title: Annotated[str, Field(max_length=120, strict=True)] | None = None
    sign_in: Annotated[str, Field(max_length=200, strict=True)] | None = None
    recipient: Annotated[str, Field(max_length=100, strict=True)] | None = None
    limit: Annotated[StrictInt, Field(ge=1, le=MAX_EXPORT)] = _EXPORT


class PauseRequest(BaseModel):
    """reason: why, for those who wonder."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(max_length=200, strict=True)] = ""


class ManyRequest(BaseModel):
    """Which jobs: at least one condition; all that are given must hold. status: what they are now;
    reason: of a failed account, as its row has it. created_after (or at), created_before: like
    2026-11-26T08:00:00Z. dry_run: only count. cursor: `next` of the answer before."""

    model_config = ConfigDict(extra="forbid")
    status: JobStatus | None = None
    directory: Annotated[str, Field(max_length=64, strict=True)] | None = None
    reason: Annotated[str, Field(max_length=500, strict=True)] | None = None
    created_after: Annotated[str, Field(max_length=40, strict=True)] | None = None
    created_before: Annotated[str, Field(max_length=40, strict=True)] | None = None
    limit: Annotated[StrictInt, Field(ge=1, le=MAX_JOBS)] = MAX_JOBS
    dry_run: StrictBool = False
    cursor: Annotated[str, Field(max_length=200, strict=True)] | None = None


class ManyView(BaseModel):
    """How many jobs it was, and which (none are named where they were only counted). more: whether
    there may be others, which the next call with `next` as its cursor goes on with."""

    jobs: int
    ids: list[str]
    more: bool
    next: str | None


class BadRowView(BaseModel):
    """A roster row that was left out."""

    row: int
    reason: str


class ReasonView(BaseModel):
    """Why accounts of a job failed; `reason` is a filter of its accounts."""

    reason: str
    count: int


class JobView(BaseModel):
    """A job; the counts add up to `count` once it is final. held: it waits, for its directory is
    paused. waits: for a person, and why. stage: whether its accounts are looked at, created or
    removed. undoes: the job whose accounts this one removes. plan: where it was looked at. canary:
    only so many are created now. provisional: what failed or was cancelled will be looked for once
    more, since a call may have landed late."""

    id: str
    status: JobStatus
    source: str
    priority: Lane
    directory: str
    template: str | None
    groups: list[str]
    count: int
    created: int
    existing: int
    failed: int
    cancelled: int
    deleted: int
    retried: int
    bad_rows: int
    held: bool
    stage: Stage
    waits: Waits | None
    plan: PlanView | None
    canary: int | None
    max_error_rate: float | None
    max_failures: int | None
    on_conflict: OnConflict
    not_before: datetime | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    provisional: bool
    undoes: str | None


class PulseView(BaseModel):
    """How the whole was at a time, in seconds since 1970: what waits in each lane (null while the
    line is down), a tenant's accounts and jobs by state, and live workers."""

    at: float
    lanes: dict[str, int] | None
    accounts: dict[str, int]
    jobs: dict[str, int]
    workers: int


class PulsesView(BaseModel):
    """Oldest first."""

    items: list[PulseView]


class ImportView(JobView):
    """A job from a roster, with the first 1,000 bad rows. failed_rows: where all of them are, as
    they were written, to be mended; null where there are none. mapping: the system whose header it
    is, where it is known."""

    rows: list[BadRowView]
    failed_rows: str | None
    ignored_columns: list[str]
    mapping: str | None


class AccountView(BaseModel):
    """An account; its password is not among this. groups: that it is to be in; attributes: what a
    roster said besides. prospect: what would become of it, by the plan of its job."""

    id: str
    job_id: str
    index: int
    row: int | None
    status: AccountStatus
    username: str
    email: str
    given_name: str
    family_name: str
    display_name: str
    groups: list[str]
    attributes: dict[str, str]
    entry_id: str | None
    reason: str | None
    detail: str | None
    prospect: Prospect | None
    tries: int
    revealed: bool
    updated_at: datetime


class DirectoryView(BaseModel):
    """A directory and how it is used. reason: why its jobs wait, where it is paused; paused_by: who
    paused it, if that was somebody; next_probe_in: seconds. limit: calls at once, of all workers
    together, and why so many; most and rate (operations a second): what its operator allows.
    at_once: of the workers that use it now. in_flight: accounts that workers hold. held: jobs that
    wait for it, counted up to 10,000. on_undo: what becomes of the accounts of a job that is
    undone."""

    name: str
    kind: str
    paused: bool
    status: DirectoryStatus
    reason: str | None
    paused_by: str | None
    since: datetime | None
    next_probe_in: float | None
    limit: int | None
    limit_reason: str
    most: int | None
    rate: float | None
    workers: int
    at_once: int
    in_flight: int
    held: int
    on_undo: OnUndo | None


class DutyView(BaseModel):
    """What is wanted of a worker: to work, to be quiet, to drain."""

    worker_id: str
    wanted: Duty


class HappeningView(BaseModel):
    """Something that happened to a job, or to one of its accounts. worker and session: whose it
    was."""

    at: datetime
    what: str
    account: str | None = None
    attempt: int | None = None
    session: str | None = None
    worker: str | None = None
    reason: str | None = None
    detail: str | None = None


class Page(BaseModel, Generic[T]):
    """`next` is the cursor of the page that follows, or null."""

    items: list[T]
    next: str | None


class Directories(BaseModel):
    """All that the tenant has."""

    items: list[DirectoryView]


class KeyView(BaseModel):
    """A key, without its secret. good: neither expired nor revoked."""

    id: str
    tenant_id: str
    name: str
    role: Role
    good: bool
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class Revealed(BaseModel):
    """A password, shown this once."""

    id: str
    username: str
    password: str


class FieldProblem(BaseModel):
    """What is wrong with one field of a request."""

    field: str
    message: str


class ProblemView(BaseModel):
    """An error (RFC 9457). instance: its id, which the log line of a failure bears too."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldProblem] | None = None


def job_view(row: dict[str, Any]) -> dict[str, Any]:
    """From a row of the ledger."""
    view = {**row, "priority": row["lane"], "groups": groups_of(row["groups"])}
    view |= {"canary": row["reach"], "max_error_rate": row["gate"], "plan": _plan(row)}
    if row["finished_at"] is not None:  # what was under way when it was paused was all of it
        view["waits"] = None
    for name in ("created_at", "updated_at", "finished_at", "not_before"):
        view[name] = time_of(row[name])
    return view


def new_job_view(job: NewJob, at: float) -> dict[str, Any]:
    """As `job_view` shows one that was entered just now."""
    entered = time_of(at)
    looked_at = job.stage in _LOOKED_AT
    return {
        "id": job.id, "status": JobStatus.PENDING, "source": job.source, "priority": job.lane,
        "directory": job.directory, "template": job.template, "groups": job.groups,
        "count": job.count, "created": 0, "existing": 0, "failed": 0, "cancelled": 0,
        "deleted": 0, "retried": 0, "bad_rows": 0, "held": False, "stage": job.stage,
        "waits": None, "plan": _NO_PLAN if looked_at else None, "canary": job.reach,
        "max_error_rate": job.gate, "max_failures": job.max_failures,
        "on_conflict": job.on_conflict, "not_before": time_of(job.not_before),
        "created_at": entered, "updated_at": entered, "finished_at": None,
        "provisional": False, "undoes": None,
    }  # fmt: skip


_NO_PLAN = {"create": 0, "adopt": 0, "conflict": 0, "invalid": 0, "moved": 0}


def _plan(row: dict[str, Any]) -> dict[str, int] | None:
    counts = {name: row[f"to_{name}"] for name in ("create", "adopt", "conflict")}
    if row["stage"] not in _LOOKED_AT and not any(counts.values()):
        return None
    return {**counts, "invalid": row["bad_rows"], "moved": row["moved"]}


_LOOKED_AT = (Stage.PLAN, Stage.CHECK)


def account_view(row: dict[str, Any]) -> dict[str, Any]:
    """From a row of the ledger."""
    ident = f"{row['job_id']}:{row['idx']}"
    groups, attributes = extra_of(row["extra"])
    return {
        **row,
        "groups": groups,
        "attributes": attributes,
        "id": ident,
        "index": row["idx"],
        "revealed": row["revealed_at"] is not None,
        "updated_at": time_of(row["updated_at"]),
    }


def time_of(seconds: float | None) -> datetime | None:
    """A time of the ledger, which counts seconds."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
