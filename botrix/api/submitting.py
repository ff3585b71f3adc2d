"""Group commit at the door: whatever arrived during the last commit goes into the next one.

Each caller is answered for its own job, after the commit. A line that is down costs nobody a job:
the dispatcher pushes it when the line is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable

from botrix.errors import LineDown
from botrix.ledger.ledger import Ledger, Submission, Submitted
from botrix.line.line import Line, Placing
from botrix.line.shown import Update
from botrix.model import NewJob

_log = logging.getLogger(__name__)
_LARGEST = 256
_Waiting = tuple[Submission, "asyncio.Future[Submitted]"]


class Submitting:
    """Start it once; `submit` from any number of requests."""

    def __init__(self, ledger: Ledger, line: Line, failed: Callable[[BaseException], None]) -> None:
        """failed: told what the background part died of; nothing can be submitted from then on."""
        self._ledger = ledger
        self._line = line
        self._failed = failed
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="submitting")
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(error)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def submit(self, submission: Submission) -> Submitted:
        future: asyncio.Future[Submitted] = asyncio.get_running_loop().create_future()
        await self._waiting.put((submission, future))
        return await future

    async def announce(self, jobs: list[tuple[NewJob, int]]) -> None:
        """Into the line, with the status `pending`. Not while it is down: that would cost each
        caller a time-out, and the dispatcher pushes what was not pushed."""
        if not self._line.up:
            return
        try:
            await self._line.publish([_pending(job) for job, _ in jobs])
            await self._line.push([Placing(job.id, place, job.lane) for job, place in jobs])
        except LineDown as error:
            _log.warning("accepted without the line: %s", error)

    async def opened_again(self, job_id: str) -> None:
        """Shows a final job as running: without force the line keeps a final status."""
        event = json.dumps({"job_id": job_id, "status": "running", "at": round(time.time(), 3)})
        with contextlib.suppress(LineDown):
            await self._line.publish([Update(job_id, "running", None, event, forced=True)])

    async def _run(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < _LARGEST and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._commit(batch)

    async def _commit(self, batch: list[_Waiting]) -> None:
        try:
            answers = await self._ledger.submit([submission for submission, _ in batch])
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        await self.announce(
            [
                (one.job, answer.place)
                for (one, _), answer in zip(batch, answers, strict=True)
                if answer.place is not None
            ]
        )
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)


def _pending(job: NewJob) -> Update:
    event = {"job_id": job.id, "status": "pending", "count": job.count, "at": round(time.time(), 3)}
    return Update(job.id, "pending", None, json.dumps(event))
