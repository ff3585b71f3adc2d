"""What the line shows of a job: status, results once it is final, an event for each move."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from botrix.ledger.ledger import AccountResult
from botrix.line.line import Update
from botrix.model import FINAL_JOB, JobState

SHOWN_ACCOUNTS = 1000


def update(job: JobState, accounts: Sequence[AccountResult] | None = None) -> Update:
    """`accounts` are the first of a final job, in order; None while it is not final."""
    event = {
        "job_id": job.id,
        "status": job.status.value,
        **job.counts(),
        "at": round(time.time(), 3),
    }
    results = None
    if job.status in FINAL_JOB and accounts is not None:
        results = _text({**event, **_accounts(job, accounts)})
    return Update(job.id, job.status.value, results, _text(event))


def _accounts(job: JobState, accounts: Sequence[AccountResult]) -> dict[str, object]:
    return {
        "accounts": [
            {"index": a.index, "username": a.username, "status": a.status, "reason": a.reason}
            for a in accounts
        ],
        "truncated": job.count > len(accounts),
        "more": f"/api/jobs/{job.id}/accounts",
    }


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
