"""Taskiq over streams of Redis. It has no call for many at once; many may be under way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import hand
import tally
from redis.asyncio import Redis
from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(url=f"unix://{hand.BROKER}", **hand.SETTINGS)


@broker.task
async def job(number: int, text: str) -> None:
    if tally.SLOW:
        await asyncio.sleep(tally.SLOW)
    tally.done(number)


class Queue:
    chunk = 50

    async def open(self) -> None:
        """Its consumers begin with what comes after they were named, so this comes first."""
        await broker.startup()
        self._client = Redis(unix_socket_path=hand.BROKER)

    async def one(self, number: int) -> None:
        await job.kiq(number, hand.TEXT)

    async def many(self, numbers: Sequence[int]) -> None:
        await asyncio.gather(*(self.one(number) for number in numbers))

    async def left(self) -> int:
        (group,) = await self._client.xinfo_groups("taskiq")
        return int(group["pending"]) + int(group["lag"] or 0)
