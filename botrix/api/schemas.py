"""What goes in and out, for people and for OpenAPI."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from botrix.extra import MAX_GROUP, MAX_GROUPS, extra_of, groups_of
from botrix.model import (
    MAX_ACCOUNTS,
    AccountStatus,
    DirectoryStatus,
    JobStatus,
    Lane,
    Role,
)

T = TypeVar("T")
MAX_EXPORT = 100_000
_EXPORT = 20_000
"""Takes about a second, during which SQLite has no other writer, and 30 MB."""


_Group = Annotated[str, Field(min_length=1, max_length=MAX_GROUP, strict=True)]


class GenerateRequest(BaseModel):
    """A job for `count` accounts. groups: that all of them are to be in."""

    model_config = ConfigDict(extra="forbid")
    count: Annotated[StrictInt, Field(ge=1, le=MAX_ACCOUNTS)]
    priority: Lane = Lane.NORMAL
    directory: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$", strict=True)] = "local"
    template: Annotated[str, Field(max_length=256, strict=True)] | None = None
    groups: Annotated[list[_Group], Field(max_length=MAX_GROUPS)] = []


class ExportRequest(BaseModel):
    """format: `csv` (in the clear), or `sealed`: the same as an age file for `recipient`, a public
    key (`age1…`). limit: passwords in this part, at most."""

    model_config = ConfigDict(extra="forbid")
    format: Literal["csv", "sealed"]
    recipient: Annotated[str, Field(max_length=100, strict=True)] | None = None
    limit: Annotated[StrictInt, Field(ge=1, le=MAX_EXPORT)] = _EXPORT


class BadRowView(BaseModel):
    """A roster row that was left out."""

    row: int
    reason: str


class JobView(BaseModel):
    """A job; the counts add up to `count` once it is final. held: it waits, for its directory is
    paused. provisional: what failed or was cancelled will be looked for once more, since a call may
    have landed late."""

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
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    provisional: bool


class ImportView(JobView):
    """A job from a roster, with the first 1,000 bad rows."""

    rows: list[BadRowView]
    ignored_columns: list[str]


class AccountView(BaseModel):
    """An account; its password is not among this. groups: that it is to be in; attributes: what a
    roster said besides."""

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
    tries: int
    revealed: bool
    updated_at: datetime


class DirectoryView(BaseModel):
    """A directory and how it is used. reason: why its jobs wait, where it is paused; next_probe_in:
    seconds. limit: calls at once, of all workers together, and why so many; most and rate
    (operations a second): what its operator allows. at_once: of the workers that use it now."""

    name: str
    kind: str
    paused: bool
    status: DirectoryStatus
    reason: str | None
    since: datetime | None
    next_probe_in: float | None
    limit: int | None
    limit_reason: str
    most: int | None
    rate: float | None
    workers: int
    at_once: int


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
    for name in ("created_at", "updated_at", "finished_at"):
        view[name] = time_of(row[name])
    return view


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
