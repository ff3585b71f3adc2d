"""One pump looks out for entries while the others rest, and none rests where there is something."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from botrix.errors import LedgerDown, LineDown
from botrix.line.line import Taken
from botrix.model import Lane
from botrix.worker.claiming import Claiming
from botrix.worker.desk import Desk
from botrix.worker.lookout import Lookout
from botrix.worker.pump import Pump, Rush


class _Line:
    """Lets who waits wait for a push; says who asked for what."""

    def __init__(self) -> None:
        self.up = True
        self.entries: list[bytes] = []
        self.said: list[str] = []
        self.pushed = asyncio.Event()

    async def wait(self, _: float) -> None:
        self.said.append("wait")
        await self.pushed.wait()

    async def take(self, _: str, pump: str, n: int) -> list[Taken]:
        self.said.append(f"take {pump}")
        if not self.up:
            raise LineDown("the line is down")
        given, self.entries = self.entries[:n], self.entries[n:]
        return [Taken(Lane.NORMAL, raw) for raw in given]

    def push(self, *entries: bytes) -> None:
        self.entries += entries
        self.pushed.set()
        self.pushed.clear()


class _Desk:
    several_tenants = quiet = False

    class _Room:
        total = 2

    async def has_room(self) -> None:
        """There is."""

    def room(self, _: int) -> Any:
        return self._Room


class _Down:
    """Claims nothing, since the ledger is down."""

    session, in_doubt = "s", False

    async def claim(self, _: object) -> Any:
        raise LedgerDown("the ledger is down")


class _Pumps:
    def __init__(self) -> None:
        self.line, rush = _Line(), Rush()
        given = (cast(Any, _Down()), cast(Any, None), cast(Any, self.line), cast(Desk, _Desk()))
        self.both = [Pump(n, cast(Claiming, given[0]), *given[1:], 1) for n in (1, 2)]
        for pump in self.both:
            pump.rush = rush

    def tick(self, n: int) -> asyncio.Task[bool]:
        return asyncio.create_task(self.both[n - 1].tick())

    async def both_at_rest(self) -> list[asyncio.Task[bool]]:
        ticks = [self.tick(1), self.tick(2)]
        while "take 2" not in self.line.said:
            await _turn()
        await _turn()
        self.line.said.clear()
        return ticks


async def _turn() -> None:
    """Whoever can go on does, as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_entry_wakes_one_pump() -> None:
    pumps = _Pumps()
    first, second = await pumps.both_at_rest()
    pumps.line.push(b"one")
    await first
    await _turn()
    assert not second.done()
    second.cancel()


async def test_as_many_as_one_takes_wake_the_other() -> None:
    pumps = _Pumps()
    first, second = await pumps.both_at_rest()
    pumps.line.push(b"one", b"two")
    await first
    assert not second.done()
    again = pumps.tick(1)
    await second
    with pytest.raises(LedgerDown):
        await again


async def test_another_looks_out_where_the_first_fails() -> None:
    pumps = _Pumps()
    first, second = await pumps.both_at_rest()
    pumps.line.push(b"one")
    await first
    with pytest.raises(LedgerDown):
        await pumps.tick(1)
    await second
    again = pumps.tick(2)
    await _turn()
    assert pumps.line.said == ["take 1", "take 2", "wait"]
    again.cancel()


async def test_who_rests_looks_for_himself_in_the_end() -> None:
    lookout, looked = Lookout(), asyncio.Event()

    async def look(_: float) -> None:
        looked.set()
        await asyncio.Event().wait()

    first = asyncio.create_task(lookout.wait("first", look, 5.0))
    await looked.wait()
    await lookout.wait("second", look, 0.0)
    first.cancel()
