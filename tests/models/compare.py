"""Holds the rows of the ledger to the model, and to rules that need no model."""

from __future__ import annotations

from collections import Counter

import pytest

from botrix.states import FINAL_ACCOUNT, JobStatus
from tests.models.expected import WAITING, Account, Expected, Job
from tests.models.stores import Row, Rows

_EXACT = 0.01
"""Seconds; a day of the Julian calendar holds times no better than that."""


def compare(rows: Rows, expected: Expected) -> None:
    """Every column that the verbs move; `due_at` is noted, for it is judged by what it must do."""
    assert set(rows.jobs) == set(expected.jobs)
    for name, job in expected.jobs.items():
        _job(rows.jobs[name], job)
        job.due_at = rows.jobs[name]["due_at"]
        _is_not_forgotten(job, expected.now)
    accounts = {(job.new.id, account.index): account for job, account in expected.accounts()}
    assert set(rows.accounts) == set(accounts)
    for key, account in accounts.items():
        _account(rows.accounts[key], account)
    assert set(rows.sessions) == set(expected.sessions)
    for name, session in expected.sessions.items():
        row = rows.sessions[name]
        assert (row["status"], row["beat"]) == (session.status, session.beat), name
        assert row["ended_at"] == session.ended_at, name
    _adds_up(rows)
    _leases_are_exclusive(rows)


def _job(row: Row, job: Job) -> None:
    state = job.state()
    counts = {name: getattr(state, name) for name in (*FINAL_ACCOUNT, "retried", "count")}
    wanted = {
        "status": job.status, "lane": job.new.lane, "next_index": job.next_index,
        "place": job.place, **counts,
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted, f"the row of {job.new.id}: {row}"
    for name in ("finished_at", "look_at", "looked_at"):
        assert row[name] == pytest.approx(getattr(job, name), abs=_EXACT), (job.new.id, name)


def _account(row: Row, account: Account) -> None:
    wanted = {
        "status": account.status, "session_id": account.session, "attempt": account.attempt,
        "tries": account.tries, "crashes": account.crashes, "in_doubt": account.in_doubt,
        "username": account.person.username, "email": account.person.email,
        "sealed": account.sealed,
    }  # fmt: skip
    key = (row["job_id"], row["idx"])
    assert {name: row[name] for name in wanted} == wanted, f"the row of {key}: {row}"
    if account.status in WAITING:
        assert row["not_before"] == pytest.approx(account.not_before, abs=_EXACT), key
    if account.status == "failed":
        assert row["reason"] == account.reason, key


def _is_not_forgotten(job: Job, now: float) -> None:
    """A job of which something can be claimed, now or later, has a place, or a time at which the
    dispatcher gives it one. (Suspects are found by another way.)"""
    opens = [account.not_before for account in job.accounts.values() if account.claimable]
    if job.fresh:
        opens.append(now)
    if job.place is None and opens:
        assert job.due_at is not None, f"{job.new.id} is forgotten: {job}"
        assert job.due_at <= min(opens) + _EXACT, f"{job.new.id} comes too late: {job}"
    if not job.open:
        assert (job.place, job.due_at) == (None, None), f"{job.new.id} is over: {job}"


def _adds_up(rows: Rows) -> None:
    """Counters are the numbers of accounts in each state; only cancelled ones may have no row."""
    by_job = {job: Counter[str]() for job in rows.jobs}
    for (job, _), account in rows.accounts.items():
        by_job[job][account["status"]] += 1
    for job, row in rows.jobs.items():
        planned = by_job[job]
        unplanned = row["cancelled"] - planned["cancelled"]
        assert unplanned >= 0, job
        assert [row[name] for name in FINAL_ACCOUNT if name != "cancelled"] == [
            planned[name] for name in FINAL_ACCOUNT if name != "cancelled"
        ], job
        total = sum(row[name] for name in FINAL_ACCOUNT)
        final = row["status"] in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
        assert total == row["count"] if final else total < row["count"], job
        assert sum(planned.values()) + unplanned <= row["count"], job
    places = [row["place"] for row in rows.jobs.values() if row["place"] is not None]
    assert len(places) == len(set(places)), "two jobs have one place"


def _leases_are_exclusive(rows: Rows) -> None:
    """A suspect is alone with its session; nobody is leased to nobody."""
    held = Counter(
        row["session_id"] for row in rows.accounts.values() if row["session_id"] is not None
    )
    for key, row in rows.accounts.items():
        assert (row["status"] == "leased") == (row["session_id"] is not None), key
        if row["session_id"] is not None:
            assert row["session_id"] in rows.sessions, key
            assert row["crashes"] < 2 or held[row["session_id"]] == 1, f"{key} is not alone"
        assert (
            row["crashes"] < 3
            or (row["status"], row["reason"]) == ("failed", "poison")
            or (
                row["status"] == "created"  # it landed late
            )
        ), key
