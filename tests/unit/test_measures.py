"""What is counted, and how it is told; tests/test_metrics.py has the numbers of real processes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botrix.api.own import Beats
from botrix.exposition import OPENLY, PLAINLY, rendered
from botrix.histogram import CALL, Histogram
from botrix.ledger.ledger import Recorded
from botrix.model import JobState, Lane, Result
from botrix.states import AccountStatus, JobStatus
from botrix.worker.measures import MOST, OTHERS, Measures


@given(st.lists(st.floats(0, 100)))
def test_a_bucket_holds_all_up_to_its_bound(noted: list[float]) -> None:
    seen = Histogram(CALL)
    for seconds in noted:
        seen.note(seconds)
    buckets = dict(seen.buckets())
    assert buckets == {
        **{str(bound): sum(s <= bound for s in noted) for bound in CALL},
        "+Inf": len(noted),
    }
    assert seen.sum == pytest.approx(sum(noted))
    assert seen.count == len(noted)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/openmetrics-text", OPENLY),
        # as Prometheus asks
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
         "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,"
         "text/plain;version=0.0.4;q=0.3,*/*;q=0.2", OPENLY),
        ("text/plain;version=0.0.4, application/openmetrics-text;q=0.5", PLAINLY),
        ("", PLAINLY), ("*/*", PLAINLY), ("application/openmetrics-text;q=nan", PLAINLY),
        ("application/openmetrics-text;q=0", PLAINLY), (";;,,q=", PLAINLY),
    ],
)  # fmt: skip
def test_the_form_is_the_one_preferred(accept: str, kind: str) -> None:
    assert rendered([], accept)[1] == kind


def test_a_session_is_silent_from_when_its_beat_was_first_seen() -> None:
    now = 0.0
    beats = Beats(lambda: now)
    assert beats.oldest({}) == 0
    assert beats.oldest({"a": 1, "b": 1}) == 0
    now = 10.0
    assert beats.oldest({"a": 1, "b": 2}) == 10
    now = 15.0
    assert beats.oldest({"b": 2}) == 5
    assert beats.oldest({"b": 3}) == 0


def _job(name: str, status: JobStatus, lasted: float | None = None, **more: str) -> JobState:
    directory = more.get("directory", "d")
    return JobState(name, "t", status, Lane.NORMAL, directory, 4, lasted=lasted)


def _result(job: str, index: int, status: AccountStatus, **more: bool) -> Result:
    return Result(job, index, 1, status, **more)


def test_a_flush_is_counted_by_what_was_accepted() -> None:
    measures = Measures()
    done = [
        _result("a", 0, AccountStatus.CREATED),
        _result("a", 1, AccountStatus.CREATED),
        _result("a", 2, AccountStatus.PLANNED),
        _result("a", 3, AccountStatus.UNSURE, counted=False),
        _result("b", 0, AccountStatus.CREATED),
        _result("gone", 0, AccountStatus.CREATED),
    ]
    jobs = [_job("a", JobStatus.RUNNING), _job("b", JobStatus.COMPLETED, 7.0, directory="e")]
    measures.recorded(done, Recorded(4, [("a", 1), ("gone", 0)], jobs))
    d, e = ("t", "d"), ("t", "e")
    assert measures.accounts == {
        (d, "created"): 1, (d, "retried"): 1, (d, "handed back"): 1, (e, "created"): 1,
    }  # fmt: skip
    assert measures.jobs == {(e, "completed"): 1}
    assert (measures.lasted[JobStatus.COMPLETED].sum, measures.stale) == (7.0, 2)


def test_directories_without_bound_are_counted_together() -> None:
    measures = Measures()
    for n in range(MOST + 50):
        measures.moved([_job("j", JobStatus.FAILED, 1.0, directory=f"d{n}")])
        measures.created(("t", f"d{n}"))(1.0)
    assert len(measures.jobs) == len(measures.creates) == MOST + 1
    assert measures.jobs[OTHERS, "failed"] == measures.creates[OTHERS].count == 50
