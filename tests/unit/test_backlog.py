"""The limit on open jobs holds in one process whatever comes at once, and is seldom asked for."""

from __future__ import annotations

import asyncio

import pytest

from botrix.api.backlog import Backlog
from botrix.api.problems import Problem


class _Ledger:
    def __init__(self) -> None:
        self.open = 0
        self.asked = 0
        self.took = 0.0
        self.now = 100.0

    async def count(self, most: int) -> int:
        self.asked += 1
        self.now += self.took
        await asyncio.sleep(0)
        return min(self.open, most)

    def backlog(self, most: int) -> Backlog:
        return Backlog(most, self.count, lambda: self.now)


async def _known() -> bool:
    return True


async def _new() -> bool:
    return False


async def _enter(backlog: Backlog, ledger: _Ledger) -> bool:
    try:
        async with backlog.entry(_new):
            await asyncio.sleep(0.001)
            ledger.open += 1
    except Problem as problem:
        assert (problem.status, problem.retry_after) == (429, 10.0)
        return False
    return True


async def test_of_many_at_once_as_many_enter_as_may() -> None:
    ledger = _Ledger()
    ledger.open = 5
    backlog = ledger.backlog(12)
    entered = await asyncio.gather(*(_enter(backlog, ledger) for _ in range(100)))
    assert (sum(entered), ledger.open, ledger.asked) == (7, 12, 1)


async def test_who_ended_makes_room_within_a_second() -> None:
    ledger = _Ledger()
    backlog = ledger.backlog(1)
    assert await _enter(backlog, ledger)
    ledger.open = 0
    assert not await _enter(backlog, ledger)
    ledger.now += 1.0
    assert await _enter(backlog, ledger)
    assert ledger.asked == 2


async def test_what_takes_long_is_asked_less_often() -> None:
    ledger = _Ledger()
    ledger.took = 0.1
    backlog = ledger.backlog(1000)
    await _enter(backlog, ledger)
    for seconds, asked in ((4.8, 1), (0.2, 2)):
        ledger.now += seconds
        await _enter(backlog, ledger)
        assert ledger.asked == asked


async def test_what_came_before_is_answered_again() -> None:
    ledger = _Ledger()
    ledger.open = 9
    backlog = ledger.backlog(9)
    async with backlog.entry(_known):
        pass
    with pytest.raises(Problem):
        async with backlog.entry(_new):
            pass


async def test_without_a_limit_nothing_is_asked() -> None:
    ledger = _Ledger()
    assert await _enter(ledger.backlog(0), ledger)
    assert ledger.asked == 0


async def test_who_was_refused_or_failed_takes_no_room_for_long() -> None:
    ledger = _Ledger()
    backlog = ledger.backlog(1)
    with pytest.raises(ValueError, match="x"):
        async with backlog.entry(_new):
            raise ValueError("x")
    ledger.now += 1.0
    assert await _enter(backlog, ledger)
