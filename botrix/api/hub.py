"""Events for all who listen at this process: read from the line once, by one task.

While the line is down, or where what followed the last event is not kept any more, the ledger is
asked in its place: how the jobs are that are open, or ended since.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from botrix.api.known import Known
from botrix.api.ring import Item, Ring
from botrix.api.wire import GONE, LINE_AWAY, item_of
from botrix.errors import LineDown
from botrix.line.line import Line
from botrix.line.stream import NOWHERE, stamp

_log = logging.getLogger(__name__)
_AT_ONCE = 1000
_FIRST = 2000
"""Events that are read when the first one listens: who comes back soon finds his place."""
_BLOCK = 5.0
_PACE, _PACE_EACH = 0.02, 0.0005
"""Seconds between two looks, and for each who listens: each look wakes them all."""
_ASK = 2.0
_ASKS_AFTER = 3
"""Workers may find the line again some seconds later, and until then tell no events."""
_MARGIN = 60.0
"""Seconds by which the clocks of line and ledger may differ."""
_IDLE = 60.0
BEAT = 2.0
_POLITE = 1.0
"""Seconds in which who does not read may still take what was sent."""


class Listening(Protocol):
    """cut: ends his connection, where he does not read."""

    @property
    def tenant_id(self) -> str: ...
    def cut(self) -> None: ...


class Hub:
    """Runs while somebody listens. reason, since: why the ring was begun anew, and the time from
    which on something may be missing."""

    def __init__(self, line: Line, known: Known) -> None:
        self._line = line
        self.known = known
        self.ring = Ring()
        self.reason, self.since = "", time.time()
        self.ended = asyncio.Event()
        self._listening: set[Listening] = set()
        self._of: Counter[str] = Counter()
        self._left_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self._moved = asyncio.Event()
        self._beat: asyncio.TimerHandle | None = None
        self._ticks: dict[float, asyncio.Event] = {}
        self._sound: str | None = None  # from this id on the stream has all; None: it may not
        self._asks, self._ask_at = 0, 0.0
        self._eighth = 0

    @property
    def tenants(self) -> list[str]:
        return list(self._of)

    def listening(self, tenant: str | None = None) -> int:
        """How many; None: of all tenants."""
        return len(self._listening) if tenant is None else self._of[tenant]

    async def enter(self, one: Listening) -> None:
        """Until the ring is there."""
        self._listening.add(one)
        self._of[one.tenant_id] += 1
        if self._task is None or self._task.done():
            self._begun.clear()
            self._task = asyncio.create_task(self._run(), name="events")
        await self._begun.wait()

    def leave(self, one: Listening) -> None:
        self._listening.discard(one)
        self._of[one.tenant_id] -= 1
        self._of += Counter[str]()  # without those of whom there are none
        self._left_at = time.monotonic()

    def end(self) -> None:
        """All who listen are to go, since this process ends."""
        self.ended.set()
        self._wake()
        asyncio.get_running_loop().call_later(_POLITE, self._cut)

    async def close(self) -> None:
        self.ended.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def add(self, items: Sequence[Item]) -> None:
        if items:
            self.ring.add(items)
            self._wake()

    async def moved(self, number: int) -> None:
        """Until there is something from that number on, or for BEAT seconds at most. All who listen
        are woken together: a timer for each would cost more than what they are sent."""
        if self.ring.end <= number and not self.ended.is_set():
            if self._beat is None:
                self._beat = asyncio.get_running_loop().call_later(BEAT, self._wake)
            await self._moved.wait()

    async def tick(self, every: float) -> None:
        """Until the next multiple of so many seconds, or so much came that some may get lost."""
        if self.ended.is_set():
            return
        if every not in self._ticks:
            self._ticks[every] = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.call_at((loop.time() // every + 1) * every, self._ring_out, every)
        await self._ticks[every].wait()

    async def place(self, ident: str) -> tuple[int, Sequence[Item]] | None:
        """The number of what follows that event. Where the ring does not hold all of that: -1, and
        the next of what followed; come again with the last one's id. None where some of it is not
        kept."""
        number = self.ring.number_after(ident)
        if number is not None:
            return number, ()
        if ident == NOWHERE or self._sound is None or stamp(ident) < stamp(self._sound):
            return None  # the stream cannot prove that it never had more than it has
        try:
            told = await self._line.events_after(ident, _AT_ONCE)
        except LineDown:
            return None
        if told is None:
            return None
        newest = stamp(self.ring.newest or NOWHERE)
        older = [item_of(one) for one in told if stamp(one.id) <= newest]
        if not older:  # another process is some events ahead of this one
            await self.moved(self.ring.end)
        return -1, older

    async def _run(self) -> None:
        self.ring.begin("")
        self._sound, self._asks = None, 0
        while self._listening or time.monotonic() < self._left_at + _IDLE:
            try:
                await self._follow()
            except LineDown as error:
                _log.debug("events from the ledger: %s", error)
                await self._without_line()
            except Exception:
                _log.exception("the events of the line cannot be followed; tried again")
                self._break(LINE_AWAY)
                await asyncio.sleep(_ASK)

    async def _follow(self) -> None:
        """One look, and then until there may be more."""
        if not self.ring.newest:
            await self._begin()
        told = await self._line.events_after(self.ring.newest, _AT_ONCE)
        if told is None:
            await self._miss()
            return
        self.add([item_of(one) for one in told])
        wait = _BLOCK
        if self._asks:
            await self._ask_still()
            wait = max(self._ask_at - time.monotonic(), _PACE)
        if len(told) < _AT_ONCE:
            await self._line.events_wait(self.ring.newest, min(wait, _BLOCK))
        await asyncio.sleep(_PACE + _PACE_EACH * self.listening())

    async def _begin(self) -> None:
        last = await self._line.events_last(_FIRST)
        self.ring.begin("" if last else NOWHERE, [item_of(one) for one in last])
        self._sound = None if self._asks else NOWHERE
        self._begun.set()
        self._wake()

    async def _miss(self) -> None:
        """What followed the last event is not there any more."""
        last = await self._line.events_last(1)
        self._break(GONE, last[0].id if last else NOWHERE)

    def _break(self, reason: str, newest: str = "") -> None:
        """newest: behind which it goes on."""
        at, _ = stamp(self.ring.newest or NOWHERE)
        self.reason, self.since = reason, (at / 1000 if at else time.time()) - _MARGIN
        self.ring.begin(newest)
        self._begun.set()
        self._wake()

    async def _without_line(self) -> None:
        """Asks the ledger, and at once, so that what it says from then on is news."""
        if not self._asks:
            self.known.forget()
            self._sound, before = None, self.ring.newest
            for tenant in self.tenants:
                await self.known.news(tenant, self.since)
            self._break(LINE_AWAY)
            self.ring.newest = before  # whence it goes on, but nobody finds his place
        self._asks = _ASKS_AFTER
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), _ASK)
        await self._ask()
        while not self._line.up and self._listening:
            await asyncio.sleep(_ASK)
            await self._ask()

    async def _ask_still(self) -> None:
        if time.monotonic() < self._ask_at:
            return
        await self._ask()
        self._asks -= 1
        if not self._asks:
            self._sound = self.ring.newest or NOWHERE
            self.known.forget()

    async def _ask(self) -> None:
        for tenant in self.tenants:
            self.add(await self.known.news(tenant, self.since))
        self.known.forget(but=self.tenants)
        self._ask_at = time.monotonic() + _ASK

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        eighth = self.ring.end // (self.ring.most // 8)
        if eighth != self._eighth or self.ended.is_set():
            self._eighth = eighth
            for every in list(self._ticks):
                self._ring_out(every)

    def _ring_out(self, every: float) -> None:
        event = self._ticks.pop(every, None)
        if event is not None:
            event.set()

    def _cut(self) -> None:
        for one in list(self._listening):
            one.cut()
