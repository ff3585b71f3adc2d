"""One who listens: where he stands in the ring, and what he is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from botrix.api.hub import BEAT, Hub
from botrix.api.ring import Item, Wish, chunks
from botrix.api.wire import GONE, MANY, NOT_GOOD, RETRY, SLOW, alive, dropped, gap, ready
from botrix.line.stream import stamp

_ALIVE = 15.0
_PROVE = 4.0
"""Seconds between two looks whether he may still listen; what the door remembers comes on top."""
_MARGIN = 60.0
_NEARLY = 0.005
"""Seconds by which a timer may be early."""


@dataclass(frozen=True, slots=True)
class Asked:
    """after: the id of the last event he has seen, "" for none. every: seconds between two messages
    at least. to_its_end: until the job has ended, or waits for somebody."""

    after: str = ""
    every: float = 0.0
    to_its_end: bool = False


class Listener:
    """good: whether he may still listen. present: how the job is that he asks for, by the ledger.
    cut: ends his connection."""

    def __init__(
        self, hub: Hub, wish: Wish, asked: Asked, good: Callable[[], Awaitable[bool]],
        present: Callable[[], Awaitable[Item]], cut: Callable[[], None],
    ) -> None:  # fmt: skip
        self._hub, self._ring = hub, hub.ring
        self._wish, self._asked = wish, asked
        self._good, self._present = good, present
        self._cut = cut
        self._number = self._epoch = 0
        self._due = 0.0  # when he is next sent something, of the loop's clock; 0: as soon as any
        self._at = ""
        self._over = self._dropped = self._sending = False
        self._clock = asyncio.get_running_loop().time

    @property
    def tenant_id(self) -> str:
        return self._wish.tenant_id

    def cut(self) -> None:
        if self._sending:
            self._cut()

    async def frames(self) -> AsyncIterator[bytes]:
        async for part in self._parts():
            self._sending = True
            yield part
            self._sending = False

    async def _parts(self) -> AsyncIterator[bytes]:
        self._stand_at_end()
        yield RETRY + ready(self._asked.after or self._at)
        if self._asked.after:
            async for part in self._missed(self._asked.after):
                yield part
        if self._wish.job_id is not None:
            item = await self._present()
            self._over = self._over or item.over
            yield item.frame
        async for part in self._live():
            yield part

    def _stand_at_end(self) -> None:
        self._number, self._epoch, self._at = self._ring.end, self._ring.epoch, self._ring.newest

    async def _missed(self, after: str) -> AsyncIterator[bytes]:
        """What happened between that event and those that the ring has."""
        while (found := await self._hub.place(after)) is not None:
            self._number, items = found
            self._epoch = self._ring.epoch
            if self._number >= 0:
                return
            wanted = [one for one in items if self._wish.fits(one)]
            self._over = self._over or any(one.over for one in wanted)
            for part in chunks(one.frame for one in wanted):
                yield part
            after = items[-1].id if items else after
            if self._hub.ended.is_set():
                return
        async for part in self._gap(GONE, stamp(after)[0] / 1000 - _MARGIN):
            yield part

    async def _gap(self, reason: str, since: float) -> AsyncIterator[bytes]:
        """The ledger tells what may have been missed; whatever happens from here on, the ring."""
        self._stand_at_end()
        if self._wish.job_id is not None:
            item = await self._present()
            self._over = item.over
            yield gap(reason, whole=True) + item.frame
            return
        found = await self._hub.known.since(self.tenant_id, since)
        yield gap(reason, whole=found.whole)
        for part in chunks(one.frame for one in found.items):
            yield part

    async def _live(self) -> AsyncIterator[bytes]:
        proven = alive_at = self._clock()
        while not self._is_done():
            await self._hub.moved(self._number)
            if self._clock() >= proven + _PROVE:
                proven = self._clock()
                if not await self._good():
                    yield dropped(NOT_GOOD)
                    return
            async for part in self._news():
                yield part
            if self._clock() >= alive_at + _ALIVE:
                alive_at = self._clock()
                yield alive(self._at)

    async def _news(self) -> AsyncIterator[bytes]:
        if self._epoch != self._ring.epoch:
            async for part in self._gap(self._hub.reason, self._hub.since):
                yield part
        elif self._ring.end > self._number and await self._is_time():
            self._due = 0.0
            batch = self._ring.batch(self._wish, self._number)
            if batch is None:
                self._dropped = True
                yield dropped(SLOW)
                return
            if batch.left_out:
                yield gap(MANY, whole=False)
            for part in batch.chunks:
                yield part
            self._number, self._at, self._over = batch.end, batch.at, batch.over

    async def _is_time(self) -> bool:
        """Waits for the next message, where there are to be few; those of all who asked for the
        same come at the same time, and so are made once. False where it is not time yet: he is
        looked at meanwhile."""
        every = self._asked.every
        if not every:
            return True
        self._due = self._due or (self._clock() // every + 1) * every
        await self._hub.tick(min(every, BEAT))
        if self._epoch != self._ring.epoch:
            return False
        is_much = self._ring.end - self._number >= self._ring.most // 2
        return is_much or self._clock() + _NEARLY >= self._due

    def _is_done(self) -> bool:
        if self._dropped or self._hub.ended.is_set():
            return True
        return self._over and self._asked.to_its_end
