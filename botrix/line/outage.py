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
        self._began = asyncio.Event()
        self._probing: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        return not self._began.is_set()

    def begin(self) -> None:
        self._began.set()
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._until_it_works())

    async def unless(self, work: Coroutine[Any, Any, None]) -> None:
        """Waits for `work`, but not longer than until an outage begins. Raises what it raises."""
        tasks = [asyncio.create_task(work), asyncio.create_task(self._wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if tasks[0].done() and not tasks[0].cancelled():
            tasks[0].result()

    async def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    async def _wait(self) -> None:
        await self._began.wait()

    async def _until_it_works(self) -> None:
        works = False
        while not works:
            await asyncio.sleep(_AGAIN)
            works = await self._probe()
        self._began.clear()
        _log.info("the line answers again")
