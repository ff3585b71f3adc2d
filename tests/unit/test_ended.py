"""What the log tells of jobs that ended: enough for a person, and no more than a machine bears."""

from __future__ import annotations

import pytest

from botrix.model import JobState, Lane, Result
from botrix.states import AccountStatus, JobStatus
from botrix.worker.ended import Ended

_TRACED = f"00-{'ab' * 16}-{'cd' * 8}-01"


def job(name: str = "j1") -> JobState:
    return JobState(name, "default", JobStatus.FAILED, Lane.NORMAL, "idp", 5, created=3, failed=2)


def test_it_says_what_became_of_the_accounts(caplog: pytest.LogCaptureFixture) -> None:
    done = [Result("j1", 0, 1, AccountStatus.CREATED, traceparent=_TRACED)]
    with caplog.at_level("INFO"):
        Ended().tell(job(), done)
    (record,) = caplog.records
    assert record.getMessage() == "job failed: 3 created, 2 failed"
    assert (record.job, record.directory, record.count) == ("j1", "idp", 5)
    assert record.trace_id == "ab" * 16


def test_of_many_it_says_how_many(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    ended = Ended(lambda: now)
    with caplog.at_level("INFO"):
        for n in range(1000):
            ended.tell(job(f"j{n}"))
        now += 1.0
        ended.tell(job("later"))
    assert len(caplog.records) == 12
    assert caplog.records[10].getMessage() == "990 more jobs ended"
