"""How every background part of a worker runs: start, repeat, stop and fail are written once here.

A part has only a name, an interval and a tick; a tick that says True (a full batch) runs again at
once. A ledger or line that is down makes a part wait, with backoff, for ever; any other error ends
the process with a reason (a part that died quietly once left a worker alive at 0 jobs/s).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Protocol

from botrix.errors import LedgerDown, LineDown

_log = logging.getLogger(__name__)
_LONGEST_WAIT = 5.0


class Part(Protocol):
    """interval: seconds between ticks; jittered by a tenth, lest workers march in step."""

    name: str
    interval: float

    async def tick(self) -> bool: ...


async def run(part: Part, rng: random.Random) -> None:
    """Ticks until cancelled. Raises whatever a tick raises that is not a store being down."""
    failures = 0
    while True:
        try:
            again = await part.tick()
            failures = 0
        except (LedgerDown, LineDown) as error:
            failures += 1
            again = False
            if failures == 1:
                _log.warning("waiting: %s", error, extra={"part": part.name})
        if again:
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(_pause(part.interval, failures, rng))


def _pause(interval: float, failures: int, rng: random.Random) -> float:
    if failures:
        return rng.uniform(0.1, min(_LONGEST_WAIT, 0.2 * 2.0 ** min(failures, 8)))
    return interval * rng.uniform(0.9, 1.1)


async def cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancels until all have ended: a library may swallow a cancellation that comes just as its
    answer does, and a part that loops would then go on for ever."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.5)
        if pending:
            _log.debug("cancelled again: %s", [task.get_name() for task in pending])
