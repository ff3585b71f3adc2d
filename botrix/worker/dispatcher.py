"""Puts back into the line what has work left and is not in it. Harmless side by side, bounded.

A job with a place is lost from the line when at two ticks, with the same place, its lane was empty
or the lane's head had a higher place: a FIFO list has no other way to have passed it by. Where the
first entries are all raw, and so tell no place, jobs are lost that were placed a minute ago.
What needs the ledger alone goes on while the line is down.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence

from botrix.errors import LineDown
from botrix.ledger.ledger import Ledger, Placed
from botrix.line.entries import Entry, decode
from botrix.line.line import Line, Placing
from botrix.model import JobState, Lane
from botrix.states import FINAL_JOB
from botrix.worker.ended import Ended
from botrix.worker.events import SHOWN_ACCOUNTS, update
from botrix.worker.measures import Measures
from botrix.worker.pump import PUMPS

_BATCH = 500
_GRACE = 2.0
_MINUTE = 60.0


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
        self.measures = Measures()  # replaced by the worker's
        self._ended = Ended()
        self._suspects: dict[str, tuple[int, float]] = {}
        self._behind_raw: set[str] = set()
        self._gone: dict[str, tuple[float, float]] = {}

    async def tick(self) -> bool:
        freed = await self._ledger.free(_BATCH)
        released = await self._ledger.release(_BATCH)
        due = await self._ledger.due(_BATCH)
        self.measures.freed += freed.freed
        self.measures.moved([*freed.jobs, *due.jobs])
        for job in (*freed.jobs, *due.jobs):
            if job.status in FINAL_JOB:
                self._ended.tell(job)
        if self._line.up:
            with contextlib.suppress(LineDown):  # what is not pushed now is lost, and found so
                await self._push([*freed.placed, *due.placed])
                await self._show([*freed.jobs, *due.jobs])
                await self._return_taken()
                await self._put_back()
        return freed.more or released or due.more

    async def _show(self, jobs: Sequence[JobState]) -> None:
        for job in jobs:
            accounts = await self._ledger.first_results(job.id, SHOWN_ACCOUNTS)
            await self._line.publish([update(job, accounts)])

    async def _put_back(self) -> None:
        lost = await self._lost()
        if lost:
            placed = await self._ledger.put_back(lost)
            self.measures.put_back += len(placed)
            await self._push(placed)

    async def _push(self, placed: Sequence[Placed]) -> None:
        if placed:
            await self._line.push([Placing(p.id, p.place, p.lane) for p in placed])

    async def _return_taken(self) -> None:
        """Of every session that ended in the last day: whoever marked it may have died before it
        came to that, and a process that stood still may yet take something. Each tick for the first
        minute, then once a minute."""
        now = self._clock()
        gone = {session: self._gone.get(session, (now, now)) for session in
                await self._ledger.lost_sessions()}  # fmt: skip
        due = [session for session, (_, at) in gone.items() if at <= now]
        for first in range(0, len(due), _BATCH):
            await self._line.give_back(due[first : first + _BATCH], [str(n) for n in PUMPS])
        for session in due:
            since, _ = gone[session]
            gone[session] = (since, now if now - since < _MINUTE else now + _MINUTE)
        self._gone = gone

    async def _lost(self) -> dict[str, int]:
        now = self._clock()
        suspects: dict[str, tuple[int, float]] = {}
        self._behind_raw = set[str]()
        for lane in Lane:
            for job in await self._passed_by(lane):
                place, since = self._suspects.get(job.id, (None, now))
                suspects[job.id] = (job.place, since if place == job.place else now)
        self._suspects = suspects
        return {
            job: place
            for job, (place, since) in suspects.items()
            if now - since >= (_MINUTE if job in self._behind_raw else _GRACE)
        }

    async def _passed_by(self, lane: Lane) -> list[Placed]:
        """Jobs that the lane's head has passed by."""
        entries = await self._line.heads(lane, 64)
        stamps = [e for e in map(decode, entries) if not isinstance(e, str) and e.place is not None]
        places = await self._ledger.places([entry.id for entry in stamps])
        head = next((e.place for e in stamps if _is_known(e, places)), None)
        passed = await self._ledger.passed_by(lane, head, _BATCH)
        if entries and head is None:
            self._behind_raw |= {job.id for job in passed}
        return passed


def _is_known(entry: Entry, places: Mapping[str, int | None]) -> bool:
    """A stamp above the job's place in the ledger was never given by it."""
    place = places.get(entry.id)
    stamp = entry.place or 0
    return entry.id in places and (place is None or stamp <= place)
