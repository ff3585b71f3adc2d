"""SAQ over Redis. It has no call for many at once; many calls may be under way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import hand
import tally
from redis.asyncio import Redis
from saq.queue.redis import RedisQueue

_queue = RedisQueue(Redis(unix_socket_path=hand.BROKER))
_of_jobs = hand.SETTINGS.get("job", {})


async def job(context: dict[str, Any], *, number: int, text: str) -> None:
    if tally.SLOW:
        await asyncio.sleep(tally.SLOW)
    tally.done(number)


settings = {"queue": _queue, "functions": [job], **hand.SETTINGS}
settings.pop("job", None)


class Queue:
    chunk = 50

    async def open(self) -> None:
        await _queue.connect()

    async def one(self, number: int) -> None:
        await _queue.enqueue("job", number=number, text=hand.TEXT, **_of_jobs)

    async def many(self, numbers: Sequence[int]) -> None:
        await asyncio.gather(*(self.one(number) for number in numbers))

    async def left(self) -> int:
        return int(await _queue.count("incomplete"))
