"""SQLite's log goes into the database while nobody asks for anything, and not before."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from botrix.api.generate import new_job_id
from botrix.errors import LedgerDown
from botrix.ledger import sqlite_resting
from botrix.ledger.ledger import Submission
from botrix.ledger.migrate import upgrade
from botrix.ledger.sqlite import SqliteLedger
from botrix.ledger.sqlite_resting import _WORTH, Resting
from botrix.model import NewJob


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_resting, "_REST", 0.0)


@pytest.mark.usefixtures("_at_once")
async def test_what_rests_in_the_log_goes_into_the_database(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    await asyncio.to_thread(upgrade, f"sqlite:///{path}")
    ledger, job = SqliteLedger(path), new_job_id()
    try:
        await ledger.submit([Submission(NewJob(job, 1, directory="local"))])
        assert job.encode() not in path.read_bytes()
        for _ in range(_WORTH - 1):
            await ledger.submit([Submission(NewJob(new_job_id(), 1, directory="local"))])
        while job.encode() not in await asyncio.to_thread(path.read_bytes):
            pass
    finally:
        await ledger.close()


class _Made:
    """Counts, and fails where it is told to."""

    def __init__(self) -> None:
        self.times = 0
        self.error: LedgerDown | None = None
        self.once = asyncio.Event()

    async def __call__(self) -> None:
        self.times += 1
        self.once.set()
        if self.error:
            raise self.error


@pytest.mark.usefixtures("_at_once")
async def test_one_is_made_for_many_commits() -> None:
    made = _Made()
    resting = Resting(made)
    for _ in range(2 * _WORTH):
        resting.wrote()
    await made.once.wait()
    for _ in range(_WORTH - 1):
        resting.wrote()
    await resting.close()
    assert made.times == 1


@pytest.mark.usefixtures("_at_once")
async def test_a_failure_is_left_to_the_next_commit() -> None:
    made = _Made()
    made.error = LedgerDown("no disk")
    resting = Resting(made)
    for _ in range(_WORTH):
        resting.wrote()
    await made.once.wait()
    await resting.close()


async def test_a_commit_puts_it_off() -> None:
    resting = Resting(_Made())
    timers = []
    for _ in range(_WORTH + 1):
        resting.wrote()
        timers.append(resting._timer)
    assert timers[: _WORTH - 1] == [None] * (_WORTH - 1)
    before, after = timers[_WORTH - 1 :]
    assert before is not None
    assert after is not None
    assert before.cancelled()
    assert not after.cancelled()
    await resting.close()
    assert after.cancelled()
