"""How late the event loop runs what is due. While it is late nothing else is on time either."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from botrix.histogram import LAG, Histogram

_EVERY = 0.25


async def watch(seen: Histogram, clock: Callable[[], float] = time.monotonic) -> None:
    """Until cancelled: four times a second."""
    while True:
        asked = clock()
        await asyncio.sleep(_EVERY)
        seen.note(max(0.0, clock() - asked - _EVERY))


def begun() -> Histogram:
    """One in which nothing was seen yet."""
    return Histogram(LAG)
