"""Puts back into the line what has work left and is not in it. Harmless side by side, bounded.

A job with a place is lost from the line when at two ticks, with the same place, its lane was empty
or the lane's head had a higher place: a FIFO list has no other way to have passed it by.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from botrix.ledger.ledger import Ledger, Placed
from botrix.line.entries import decode
from botrix.line.line import Line, Placing
from botrix.model import Lane
from botrix.worker.events import SHOWN_ACCOUNTS, update
from botrix.worker.pump import PUMPS

_BATCH = 500
_GRACE = 2.0


class Dispatcher:
    """Frees the accounts of sessions that are not live, then places what became claimable."""

    name = "dispatcher"

    def __init__(
        self,
        ledger: Ledger,
        line: Line,
        interval: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval = interval
        self._ledger = ledger
        self._line = line
        self._clock = clock
        self._suspects: dict[str, tuple[int, float]] = {}

    async def tick(self) -> bool:
        freed = await self._ledger.free(_BATCH)
        due = await self._ledger.due(_BATCH)
        await self._push([*freed.placed, *due.placed])
        for job in due.jobs:
            accounts = await self._ledger.first_results(job.id, SHOWN_ACCOUNTS)
            await self._line.publish([update(job, accounts)])
        await self._return_taken()
        lost = await self._lost()
        if lost:
            await self._push(await self._ledger.put_back(lost))
        return freed.more or due.more

    async def _push(self, placed: Sequence[Placed]) -> None:
        if placed:
            await self._line.push([Placing(p.id, p.place, p.lane) for p in placed])

    async def _return_taken(self) -> None:
        for session in await self._ledger.lost_sessions():
            await self._line.give_back(session, [str(n) for n in PUMPS])

    async def _lost(self) -> dict[str, int]:
        now = self._clock()
        suspects: dict[str, tuple[int, float]] = {}
        for lane in Lane:
            for job in await self._passed_by(lane):
                place, since = self._suspects.get(job.id, (None, now))
                suspects[job.id] = (job.place, since if place == job.place else now)
        self._suspects = suspects
        return {j: place for j, (place, since) in suspects.items() if now - since >= _GRACE}

    async def _passed_by(self, lane: Lane) -> list[Placed]:
        entries = await self._line.heads(lane, 64)
        if not entries:
            return await self._ledger.passed_by(lane, None, _BATCH)
        for raw in entries:
            entry = decode(raw)
            if not isinstance(entry, str) and entry.place is not None:
                return await self._ledger.passed_by(lane, entry.place, _BATCH)
        return []
