"""Group commit at the door: whatever arrived during the last commit goes into the next one, and
what is just arriving with it.

Each caller is answered for its own job, after the commit, and once the line was told: where many
wait, while the next commit is under way. A line that is down costs nobody a job: the dispatcher
pushes it when the line is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from botrix import traces
from botrix.errors import LineDown
from botrix.ledger.ledger import Ledger, Submission, Submitted
from botrix.line.events import Event
from botrix.line.line import Line, New
from botrix.line.shown import Update
from botrix.model import NewJob

_log = logging.getLogger(__name__)
LARGEST = 500
"""Jobs of one commit."""
_Waiting = tuple[Submission, "asyncio.Future[Submitted]"]
_Committed = tuple[list[_Waiting], list[Submitted]]


class Submitting:
    """Start it once; `submit` from any number of requests."""

    def __init__(self, ledger: Ledger, line: Line, failed: Callable[[BaseException], None]) -> None:
        """failed: told what a background part died of; nothing can be submitted from then on."""
        self._ledger = ledger
        self._line = line
        self._failed = failed
        self._waiting: list[_Waiting] = []
        self._some = asyncio.Event()
        self._committed: asyncio.Queue[_Committed] = asyncio.Queue(1)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for part in (self._commits(), self._announces()):
            task = asyncio.create_task(part, name="submitting")
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(error)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def submit(self, submission: Submission) -> Submitted:
        future: asyncio.Future[Submitted] = asyncio.get_running_loop().create_future()
        with traces.span("submit", attributes={"botrix.job.id": submission.job.id}):
            self._waiting.append((submission, future))
            self._some.set()
            return await future

    async def announce(self, jobs: list[tuple[NewJob, int | None]]) -> None:
        """With the status `pending`, and into the line where they have a place. Not while that is
        down: it would cost each caller a time-out, and the dispatcher pushes what was not."""
        if not jobs or not self._line.up:
            return
        try:
            await self._line.enter([_new(job, place) for job, place in jobs])
        except LineDown as error:
            _log.warning("accepted without the line: %s", error)

    async def opened_again(self, *rows: Mapping[str, Any]) -> None:
        """Shows final jobs as running: without force the line keeps a final status."""
        await self.moved(*rows, forced=True)

    async def moved(self, *rows: Mapping[str, Any], forced: bool = False) -> None:
        """Shows jobs as they are after what somebody decided about them."""
        if not self._line.up:
            return
        updates = [
            Update(
                row["tenant_id"], row["id"], row["status"], None, Event.of_row(row).text(), forced
            )
            for row in rows
        ]
        with contextlib.suppress(LineDown):
            await self._line.publish(updates)

    async def _commits(self) -> None:
        while True:
            await self._some.wait()
            await self._arrived()
            batch, self._waiting = self._waiting[:LARGEST], self._waiting[LARGEST:]
            if not self._waiting:
                self._some.clear()
            try:
                answers = await self._ledger.submit([submission for submission, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            await self._committed.put((batch, answers))
            if 2 * len(self._waiting) < len(batch):  # who is answered now asks anew: one for all
                await self._committed.join()

    async def _arrived(self) -> None:
        """Until a turn of the loop, which reads what all connections have, brings no more: of those
        who are answered together the first to ask anew would have a commit for himself."""
        before = 0
        while before < len(self._waiting) < LARGEST:
            before = len(self._waiting)
            await asyncio.sleep(0)

    async def _announces(self) -> None:
        """In the order of the commits; then each caller is answered, so that what he does next
        with the job is told after it."""
        while True:
            batch, answers = await self._committed.get()
            pairs = list(zip(batch, answers, strict=True))
            await self.announce(
                [(one.job, answer.place) for (one, _), answer in pairs if one.entered(answer)]
            )
            for (_, future), answer in pairs:
                if not future.done():
                    future.set_result(answer)
            self._committed.task_done()


def _new(job: NewJob, place: int | None) -> New:
    return New(job.tenant_id, job.id, Event.of_new(job).text(), job.lane, place)
