"""What the line shows of a job: status, results once it is final, an event for each move."""

from __future__ import annotations

import time

import msgspec

from botrix.line.shown import Update
from botrix.model import FINAL_JOB, JobState, Result

SHOWN_ACCOUNTS = 1000


class _Event(msgspec.Struct):
    job_id: str
    status: str
    count: int
    created: int
    existing: int
    failed: int
    cancelled: int
    deleted: int
    at: float


class _Results(_Event):
    accounts: msgspec.Raw
    truncated: bool
    more: str


def update(job: JobState, accounts: bytes | None = None) -> Update:
    """`accounts` are the first of a final job, in order, as a JSON array of at most
    SHOWN_ACCOUNTS; None while it is not final."""
    fields = (
        job.id, job.status.value, job.count, job.created, job.existing, job.failed, job.cancelled,
        job.deleted, round(time.time(), 3),
    )  # fmt: skip
    results = None
    if job.status in FINAL_JOB and accounts is not None:
        more, truncated = f"/api/jobs/{job.id}/accounts", job.count > SHOWN_ACCOUNTS
        results = _text(_Results(*fields, msgspec.Raw(accounts), truncated, more))
    return Update(job.id, job.status.value, results, _text(_Event(*fields)))


def shown(result: Result) -> bytes:
    """The accounts of a job that has just one."""
    account = {
        "index": result.index,
        "username": result.username,
        "status": result.status.value,
        "reason": result.reason,
    }
    return msgspec.json.encode([account])


def _text(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()
