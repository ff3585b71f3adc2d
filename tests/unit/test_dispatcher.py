"""When a job counts as lost from the line, by a clock of the test; what goes on without a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import pytest

from botrix.errors import LineDown
from botrix.ledger.ledger import Due, Ledger, Placed
from botrix.line.entries import encode
from botrix.line.line import Line, Placing
from botrix.model import Lane
from botrix.worker.dispatcher import Dispatcher

_RAW = b'{"id":"raw","count":1}'


class _Ledger:
    """One lane's jobs by place; put back means twice the place."""

    def __init__(self, places: dict[str, int | None]) -> None:
        self.jobs = places
        self.freed = 0

    async def free(self, _limit: int) -> Due:
        self.freed += 1
        return Due()

    async def release(self, limit: int) -> bool:
        return False

    async def due(self, _limit: int) -> Due:
        return Due([Placed("due", 99, Lane.LOW)])

    async def lost_sessions(self) -> list[str]:
        return ["gone"]

    async def places(self, jobs: Sequence[str]) -> dict[str, int | None]:
        return {job: self.jobs[job] for job in jobs if job in self.jobs}

    async def passed_by(self, lane: Lane, head: int | None, _limit: int) -> list[Placed]:
        if lane is not Lane.NORMAL:
            return []
        standing = [(job, place) for job, place in self.jobs.items() if place is not None]
        return [Placed(job, p, lane) for job, p in standing if head is None or p < head]

    async def put_back(self, seen: Mapping[str, int]) -> list[Placed]:
        return [Placed(job, place * 2, Lane.NORMAL) for job, place in seen.items()]


class _Line:
    def __init__(self, entries: list[bytes]) -> None:
        self.up = True
        self.entries = entries
        self.pushed: list[str] = []
        self.given_back: list[list[str]] = []

    async def heads(self, lane: Lane, _n: int) -> list[bytes]:
        return self.entries if lane is Lane.NORMAL else []

    async def push(self, placed: Sequence[Placing]) -> None:
        self.pushed += [one.id for one in placed]

    async def give_back(self, sessions: Iterable[str], _pumps: Sequence[str]) -> int:
        self.given_back.append(list(sessions))
        return 0


class _Setting:
    def __init__(self, entries: list[bytes], **places: int | None) -> None:
        self.now = 1000.0
        self.ledger, self.line = _Ledger(places), _Line(entries)
        self.dispatcher = Dispatcher(
            cast(Ledger, self.ledger), cast(Line, self.line), 1.0, lambda: self.now
        )

    async def pushed_after(self, *seconds: float) -> list[str]:
        """What came back into the line at ticks so many seconds apart."""
        for pause in seconds:
            self.now += pause
            self.line.pushed.clear()
            await self.dispatcher.tick()
        return [job for job in self.line.pushed if job != "due"]


async def test_a_job_before_the_head_is_lost_after_two_seconds() -> None:
    setting = _Setting([encode("b", 7)], a=3, b=7, c=9)
    assert await setting.pushed_after(0.0, 1.9) == []
    assert await setting.pushed_after(0.2) == ["a"]


async def test_an_empty_lane_has_lost_all() -> None:
    assert await _Setting([], a=3, b=7).pushed_after(0.0, 2.1) == ["a", "b"]


async def test_a_job_that_moved_meanwhile_is_not_lost() -> None:
    setting = _Setting([], a=3)
    await setting.pushed_after(0.0, 1.5)
    setting.ledger.jobs["a"] = 5
    assert await setting.pushed_after(1.5) == []


@pytest.mark.parametrize("head", [encode("a", 10**15), encode("nobody", 50), b"no entry"])
async def test_a_stamp_that_the_ledger_never_gave_tells_nothing(head: bytes) -> None:
    setting = _Setting([head, encode("b", 7)], a=3, b=7, c=9)
    assert await setting.pushed_after(0.0, 2.1) == ["a"]


async def test_the_entry_of_a_job_that_has_moved_on_still_tells() -> None:
    setting = _Setting([encode("b", 7)], a=3, b=None, c=9)
    assert await setting.pushed_after(0.0, 2.1) == ["a"]


async def test_behind_raw_entries_a_minute_must_pass() -> None:
    setting = _Setting([_RAW] * 64, a=3)
    assert await setting.pushed_after(0.0, 30.0, 29.0) == []
    assert await setting.pushed_after(2.0) == ["a"]


async def test_taken_lists_are_returned_each_tick_for_a_minute_then_each_minute() -> None:
    setting = _Setting([], a=3)
    for pause in (0.0, 1.0, 60.0, 1.0, 58.0, 2.0):
        setting.now += pause
        await setting.dispatcher.tick()
    assert setting.line.given_back == [["gone"]] * 4


async def test_without_the_line_leases_are_freed_all_the_same() -> None:
    setting = _Setting([], a=3)
    setting.line.up = False
    assert await setting.pushed_after(0.0, 5.0) == []
    assert setting.ledger.freed == 2


async def test_a_line_that_goes_down_stops_no_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(*_: Any) -> None:
        raise LineDown("gone")

    setting = _Setting([], a=3)
    monkeypatch.setattr(setting.line, "push", down)
    assert await setting.dispatcher.tick() is False
