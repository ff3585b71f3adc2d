"""Looks at directories on behalf of who asks: few at once, and none for long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from botrix.api.problems import Problem
from botrix.creators.creator import Check
from botrix.creators.plugins import where
from botrix.errors import BotrixError

_log = logging.getLogger(__name__)
_MOST, _WITHIN = 4, 30.0


class Checking:
    """most: at once in this process, of all tenants. within: seconds after which whoever asked is
    answered, whatever the check does then; it counts until it has ended."""

    def __init__(self, most: int = _MOST, within: float = _WITHIN) -> None:
        self._most = most
        self._within = within
        self._running: set[asyncio.Task[Check]] = set()

    async def run(self, look: Callable[[], Awaitable[Check]]) -> Check:
        """Raises Problem where there are as many as may be, and what `look` raises that has a
        name."""
        if len(self._running) >= self._most:
            raise Problem(
                429, "Too many checks",
                f"{self._most} directories are being checked already; try again in a moment", 2,
            )  # fmt: skip
        task = asyncio.create_task(_looked(look), name="checking")
        self._running.add(task)
        task.add_done_callback(self._ended)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._within)
        finally:
            task.cancel()
        if done:
            return task.result()
        return Check(
            False, problem=f"it was not done within {self._within:.0f} seconds; see whether the "
            "directory, or the way to it, is slow",
        )  # fmt: skip

    def _ended(self, task: asyncio.Task[Check]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be there any more to hear of it

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=1.0)


async def _looked(look: Callable[[], Awaitable[Check]]) -> Check:
    """What a creator raises that it should not is a line in the log, without the error's words:
    these may hold a secret."""
    try:
        return await look()
    except BotrixError:
        raise
    except Exception as error:
        _log.error("a check of a directory failed: %s", where(error))
        return Check(False, problem="the check itself failed; the log of the API says how")
