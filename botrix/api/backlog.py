"""A limit on how many jobs wait or run, of all tenants: beyond it nothing more is taken in.

The figure is asked of the ledger once a second at most, and counted on in between with what this
process lets in. So one process never goes beyond the limit; of several each may let in what the
others did since it last asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from botrix.api.problems import Problem

_EVERY = 1.0
_PART = 0.02
"""Of the time that may go into counting, where that takes long."""
_AGAIN = 10.0
"""Seconds after which one may ask again; nobody knows the time."""


class Backlog:
    """One per process. most: 0 for no limit; count: how many jobs are open, of at most so many."""

    def __init__(
        self,
        most: int,
        count: Callable[[int], Awaitable[int]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._count = count
        self._clock = clock
        self._looking = asyncio.Lock()
        self._look_at = 0.0
        self._open = 0
        self._entered = 0
        self._entering = 0

    def entry(self, known: Callable[[], Awaitable[bool]]) -> AbstractAsyncContextManager[None]:
        """In which a job is entered. known: whether it was before, under its Idempotency-Key; then
        it is answered once more. Raises Problem where there is no room."""
        return self._entry(known) if self._most else nullcontext()

    @asynccontextmanager
    async def _entry(self, known: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
        await self._look()
        if self._open + self._entered + self._entering >= self._most and not await known():
            raise Problem(
                429,
                "Too many jobs",
                f"{self._most} jobs wait or run, which are as many as may; send it again later",
                _AGAIN,
            )
        self._entering += 1
        try:
            yield
        finally:
            self._entering -= 1
            self._entered += 1  # or was refused, which the next look tells

    async def _look(self) -> None:
        if self._clock() < self._look_at:
            return
        async with self._looking:
            began = self._clock()
            if began < self._look_at:
                return
            self._entered = 0  # who enters from here on may be counted twice, until the next look
            self._open = await self._count(self._most)
            took = self._clock() - began
            self._look_at = began + max(_EVERY, took / _PART)
