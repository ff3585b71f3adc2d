"""Chance and time stand still, so that the same work is the same each time. To be called before
anything of Botrix is imported, which may keep what it finds here.
"""

from __future__ import annotations

import asyncio.base_events
import gc
import os
import random
import time
from types import SimpleNamespace

_STEP = 10.0
_now = time.monotonic()


def stand_still() -> None:
    """What is drawn is the same in each run. The loop of asyncio keeps the real time, for it really
    waits."""
    gc.disable()
    asyncio.base_events.time = SimpleNamespace(**vars(time))  # type: ignore[attr-defined]
    rng = random.Random(1)
    os.urandom = random._urandom = rng.randbytes  # type: ignore[attr-defined]
    time.monotonic = lambda: _now


def step() -> None:
    """Whatever is done once in a while is due."""
    global _now  # noqa: PLW0603  there is one time
    _now += _STEP
