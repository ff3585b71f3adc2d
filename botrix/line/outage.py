"""Whether the line can be used: from a failure on it is down, until a probe says otherwise.

One probe a second stands for all who would like to use it, so that a line that hangs costs nobody
else a time-out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

_log = logging.getLogger(__name__)
_AGAIN = 1.0


class Outage:
    """`probe` answers whether the line works; it never raises."""

    def __init__(self, probe: Callable[[], Awaitable[bool]]) -> None:
        self._probe = probe
        self._over = True
        self._waiting: set[asyncio.Future[None]] = set()
        self._probing: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        return self._over

    def begin(self) -> None:
        self._over = False
        for one in self._waiting:
            _set(one)
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._until_it_works())

    async def unless(self, work: Coroutine[Any, Any, None]) -> None:
        """Waits for `work`, but not longer than until an outage begins. Raises what it raises."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(work)
        task.add_done_callback(lambda done: _ended(done, ended))
        self._waiting.add(ended)
        try:
            if self._over:
                await ended
        finally:
            self._waiting.discard(ended)
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            task.result()

    async def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    async def _until_it_works(self) -> None:
        works = False
        while not works:
            await asyncio.sleep(_AGAIN)
            works = await self._probe()
        self._over = True
        _log.info("the line answers again")


def _ended(task: asyncio.Task[None], ended: asyncio.Future[None]) -> None:
    if not task.cancelled():
        task.exception()  # seen, also where nobody waits any more
    _set(ended)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
