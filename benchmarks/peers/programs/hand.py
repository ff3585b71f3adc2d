"""Puts jobs into the queue of a peer as lines of standard input say; tells how long it took.

    python -m hand PROGRAM

    one FROM N        N jobs, each after the one before it was taken
    many FROM N       the same by the call that the peer has for many at once
    idle FROM N GAP   one job every GAP seconds; tells when each was about to be put in
    left              how many are not yet settled

Answers each line with one of JSON. Written once, so that all peers are measured alike.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

BROKER = os.environ["BENCH_BROKER"]
SETTINGS: dict[str, Any] = json.loads(os.environ.get("BENCH_SETTINGS", "{}"))
TEXT = "x" * int(os.environ.get("BENCH_TEXT", "64"))
"""What each job carries beside its number."""


class Queue(Protocol):
    """What a peer's program has to offer."""

    chunk: int
    """So many go into one call of `many`."""

    async def open(self) -> None: ...
    async def one(self, number: int) -> None: ...
    async def many(self, numbers: Sequence[int]) -> None: ...
    async def left(self) -> int: ...


async def serve(queue: Queue) -> None:
    await queue.open()
    _say({"ready": True})
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        word, *given = line.split()
        began, used = time.monotonic(), time.process_time()
        told = await _COMMANDS[word](queue, *(float(part) for part in given))
        took, used = time.monotonic() - began, time.process_time() - used
        _say({"seconds": took, "cpu": used, "told": told})


async def _one(queue: Queue, first: float, n: float) -> None:
    for number in range(int(first), int(first + n)):
        await queue.one(number)


async def _many(queue: Queue, first: float, n: float) -> None:
    end = int(first + n)
    for start in range(int(first), end, queue.chunk):
        await queue.many(range(start, min(start + queue.chunk, end)))


async def _idle(queue: Queue, first: float, n: float, gap: float) -> list[float]:
    times = []
    for number in range(int(first), int(first + n)):
        await asyncio.sleep(gap)
        times.append(time.monotonic())
        await queue.one(number)
    return times


async def _left(queue: Queue) -> int:
    return await queue.left()


_COMMANDS: dict[str, Any] = {"one": _one, "many": _many, "idle": _idle, "left": _left}


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(import_module(sys.argv[1]).Queue()))
