"""Waiting for entries without taking any: a lane's head is moved onto itself once there is one.

Nothing is popped, so a lost answer harms nothing, and one push wakes every waiter. A peek lives
on after a wait that another lane ended: to cancel it would cost its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

_LONGEST_BLOCK = 5.0
_SHORTEST_BLOCK = 0.01  # 0 would block for ever

Peek = Callable[[str, float], Awaitable[bool]]


class Peeks:
    """`peek(lane, seconds)` blocks on its own connection; True where the lane has an entry."""

    def __init__(self, lanes: Sequence[str], peek: Peek) -> None:
        self._lanes = lanes
        self._peek = peek
        self._tasks: dict[str, asyncio.Task[bool]] = {}

    async def wait(self, timeout: float) -> None:
        """Until a lane has an entry, or `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (left := deadline - loop.time()) > 0:
            tasks = self._under_way(left)
            done, _ = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if any(task.result() for task in done):
                return

    async def close(self) -> None:
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _under_way(self, left: float) -> list[asyncio.Task[bool]]:
        """One task for each lane. What ended since the last wait is stale, and so is its error."""
        block = max(_SHORTEST_BLOCK, min(left, _LONGEST_BLOCK))
        for lane in self._lanes:
            if lane not in self._tasks or self._tasks[lane].done():
                self._tasks[lane] = task = asyncio.create_task(self._run(lane, block))
                task.add_done_callback(_seen)
        return list(self._tasks.values())

    async def _run(self, lane: str, block: float) -> bool:
        return await self._peek(lane, block)


def _seen(task: asyncio.Task[bool]) -> None:
    if not task.cancelled():
        task.exception()
