"""Group commit of results: whatever arrives during one flush goes into the next.

A flush that the ledger did not answer is repeated as it is; a result is accepted once at most,
because it is compared with session and attempt. What moved is then published to the line.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Callable

from botrix.errors import LedgerDown, LedgerError, LineDown, SessionLost
from botrix.ledger.ledger import Ledger, Recorded
from botrix.line.events import now
from botrix.line.line import Line
from botrix.model import Result
from botrix.states import FINAL_JOB, AccountStatus, JobStatus
from botrix.worker.ended import Ended
from botrix.worker.events import SHOWN_ACCOUNTS, shown, update
from botrix.worker.stats import Stats
from botrix.worker.traced import recorded, recording

_log = logging.getLogger(__name__)
_LARGEST_FLUSH = 500
_PACE = 0.03
_MANY = 100
"""Seconds between two flushes where less than so many results wait: each costs a transaction."""


class Recorder:
    """`released` is told after each flush what is off this worker's hands."""

    name = "recorder"
    interval = 0.0

    def __init__(
        self,
        session: str,
        ledger: Ledger,
        line: Line,
        stats: Stats,
        released: Callable[[list[Result]], None],
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._line = line
        self._stats = stats
        self._released = released
        self._ended = Ended()
        self._waiting: deque[Result] = deque()
        self._arrived = asyncio.Event()
        self._batch: list[Result] = []
        self._clock = asyncio.get_running_loop().time
        self._flushed_at = 0.0
        self._published: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._published.set_result(None)
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, results: list[Result]) -> None:
        if not results:
            return
        self._idle.clear()
        self._waiting.extend(results)
        self._arrived.set()

    async def emptied(self) -> None:
        """Until all that was put is recorded. The recorder must be running: a flush that is cut
        short may have happened, and would be refused as stale when repeated."""
        await self._idle.wait()

    async def tick(self) -> bool:
        await self._arrived.wait()
        pause = self._flushed_at + _PACE - self._clock()
        if pause > 0 and len(self._waiting) < _MANY:
            await asyncio.sleep(pause)
        self._flushed_at = self._clock()
        await self.flush()
        return True

    async def flush(self) -> None:
        """One transaction. Keeps its batch where the ledger is down (LedgerDown passes through)."""
        if not self._batch:
            size = min(_LARGEST_FLUSH, len(self._waiting))
            self._batch = [self._waiting.popleft() for _ in range(size)]
        if self._batch:
            recorded = await self._record(self._batch)
            done, self._batch = self._batch, []
            self._count(done, recorded)
            self._released(done)
            await self._published
            self._published = asyncio.ensure_future(self._publish(done, recorded))
        if not self._waiting:
            self._arrived.clear()
            await self._published
            if not self._waiting:
                self._idle.set()

    async def _record(self, batch: list[Result]) -> Recorded:
        """What a lost session would have written is noted, for the history of its jobs."""
        began = time.monotonic()
        try:
            with recording(batch) as told:
                done = await self._ledger.record(self._session, batch)
                recorded(told, done)
        except SessionLost:
            self._stats.measures.stale += len(batch)
            with contextlib.suppress(LedgerError):
                await self._ledger.refused(self._session, batch)
            raise
        self._stats.measures.flushes.note(time.monotonic() - began)
        return done

    def _count(self, done: list[Result], recorded: Recorded) -> None:
        stats = self._stats
        for (status, tried), n in Counter([(one.status, one.counted) for one in done]).items():
            match status:
                case AccountStatus.CREATED | AccountStatus.EXISTING:
                    stats.accounts_created += n
                case AccountStatus.FAILED:
                    stats.accounts_failed += n
                case AccountStatus.PLANNED | AccountStatus.UNSURE:
                    stats.accounts_retried += n * tried
                case _:
                    pass
        ended = [job for job in recorded.jobs if job.status in FINAL_JOB]
        for job in ended:
            self._ended.tell(job, done)
        came_to = Counter([job.status for job in ended])
        stats.jobs_processed += len(ended)
        stats.jobs_succeeded += came_to[JobStatus.COMPLETED]
        stats.jobs_failed += came_to[JobStatus.FAILED]
        stats.measures.recorded(done, recorded)
        if recorded.stale:
            text = "%d results came too late and were refused: another worker has these accounts"
            _log.warning(text, len(recorded.stale), extra={"accounts": recorded.stale[:10]})

    async def _publish(self, done: list[Result], recorded: Recorded) -> None:
        """While the next flush is under way; one after another, so that no status overtakes."""
        by_job = {result.job_id: result for result in done}
        at, updates = now(), []
        try:
            for job in recorded.jobs:
                if job.status not in FINAL_JOB:
                    accounts = None
                elif job.count == 1:  # the common case needs no second look at the ledger
                    accounts = shown(by_job[job.id])
                else:
                    accounts = await self._ledger.first_results(job.id, SHOWN_ACCOUNTS)
                updates.append(update(job, accounts, at))
            await self._line.publish(updates)
        except (LineDown, LedgerDown) as error:
            _log.debug("not published: %s", error)
