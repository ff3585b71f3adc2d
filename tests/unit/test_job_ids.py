"""The names of jobs that the API makes."""

from __future__ import annotations

import re
import time

import pytest

from botrix.api.generate import new_job_id


def test_each_is_another_and_looks_like_one() -> None:
    made = {new_job_id() for _ in range(10_000)}
    assert len(made) == 10_000
    assert all(re.fullmatch(r"job_[0-9a-f]{20}", one) for one in made)


def test_later_ones_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that jobs of a batch, and their accounts, lie on few pages of the ledger."""
    at = time.time()
    monkeypatch.setattr(time, "time", lambda: at)
    made = []
    for _ in range(50):
        made.append(new_job_id())
        at += 0.0011
    assert made == sorted(made)


def test_none_goes_back_until_2054(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 2_650_000_000.0)
    last = new_job_id()
    monkeypatch.undo()
    assert new_job_id() < last
    assert len(last) == 24
