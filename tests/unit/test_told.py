"""What the line shows of a job is put together, and must be read as if it had been encoded."""

from __future__ import annotations

import msgspec
import pytest

from botrix.line.events import Event
from botrix.model import JobState, Lane, Result
from botrix.states import AccountStatus, JobStatus
from botrix.worker.events import SHOWN_ACCOUNTS, shown, update


@pytest.mark.parametrize("count", [1, SHOWN_ACCOUNTS, SHOWN_ACCOUNTS + 1])
def test_results_are_the_event_and_the_accounts(count: int) -> None:
    job = JobState("j-1_A", "t", JobStatus.COMPLETED, Lane.HIGH, 'a"b', count, count)
    result = Result("j-1_A", 0, 1, AccountStatus.CREATED, username='ann"\\é', reason='said "no"')
    told = update(job, shown(result))
    accounts = [
        {"index": 0, "username": 'ann"\\é', "status": "created", "reason": 'said "no"'},
    ]
    event = msgspec.json.decode(told.event)
    assert msgspec.json.decode(told.event, type=Event).text() == told.event
    assert (event["status"], event["priority"], event["directory"]) == ("completed", "high", 'a"b')
    assert msgspec.json.decode(told.results or "") == event | {
        "accounts": accounts,
        "truncated": count > SHOWN_ACCOUNTS,
        "more": "/api/jobs/j-1_A/accounts",
    }


def test_of_a_job_that_goes_on_there_are_no_results() -> None:
    job = JobState("j", "t", JobStatus.RUNNING, Lane.LOW, "noop", 2)
    assert update(job, b"[]").results is None
