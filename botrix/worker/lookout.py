"""One pump of a session looks out for entries, and takes what it was woken for; the others rest.

Woken all at once, the second would find nothing, and the first would wait for it to be told so:
both share one interpreter, and a job that comes alone would be begun later.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable


class Lookout:
    """Shared by the pumps of a session."""

    def __init__(self) -> None:
        self._who: str | None = None
        self._called = asyncio.Event()

    async def wait(
        self, who: str, look: Callable[[float], Awaitable[None]], seconds: float
    ) -> None:
        """Until there may be something for `who` to take, or so many seconds. look: looks out as
        long."""
        if self._who in (None, who):
            self._who = who
            await look(seconds)
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._called.wait()

    def call(self) -> None:
        """There may be something for all. Who does not rest just now finds it by itself."""
        self._called.set()
        self._called.clear()

    def resign(self, who: str) -> None:
        """Whatever hindered `who` may not hinder another."""
        if self._who == who:
            self._who = None
            self.call()
