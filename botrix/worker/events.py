"""What the line shows of a job: status, results once it is final, an event for each move."""

from __future__ import annotations

import msgspec

from botrix.line.events import Event
from botrix.line.shown import Update
from botrix.model import JobState, Result
from botrix.states import FINAL_JOB

SHOWN_ACCOUNTS = 1000


class _Shown(msgspec.Struct, frozen=True, gc=False):
    """An account, as results show it."""

    index: int
    username: str
    status: str
    reason: str | None


def update(job: JobState, accounts: bytes | None = None, at: float | None = None) -> Update:
    """`accounts` are the first of a final job, in order, as a JSON array of at most
    SHOWN_ACCOUNTS; None while it is not final. at: None for now."""
    told, results = Event.of(job, at).text(), None
    if job.status in FINAL_JOB and accounts is not None:
        results = _results(job, told, accounts.decode())
    return Update(job.tenant_id, job.id, job.status.value, results, told)


def _results(job: JobState, told: str, accounts: str) -> str:
    """The event with the accounts behind, put together: encoding it once more costs as much as all
    else here. An id of a job needs no escaping."""
    truncated = "true" if job.count > SHOWN_ACCOUNTS else "false"
    more = f'"more":"/api/jobs/{job.id}/accounts"'
    return f'{told[:-1]},"accounts":{accounts},"truncated":{truncated},{more}}}'


def shown(result: Result) -> bytes:
    """The accounts of a job that has just one."""
    account = _Shown(result.index, result.username, result.status.value, result.reason)
    return msgspec.json.encode([account])
