"""arq. It has no call for many at once; many calls may be under way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import hand
import tally
from arq import create_pool
from arq.connections import RedisSettings

_redis = RedisSettings(unix_socket_path=hand.BROKER)


async def job(context: dict[str, Any], number: int, text: str) -> None:
    if tally.SLOW:
        await asyncio.sleep(tally.SLOW)
    tally.done(number)


class Worker:
    """arq reads the names of its settings here."""

    functions = (job,)
    redis_settings = _redis


for _name, _value in hand.SETTINGS.items():
    setattr(Worker, _name, _value)


class Queue:
    chunk = 50

    async def open(self) -> None:
        self._pool = await create_pool(_redis)

    async def one(self, number: int) -> None:
        await self._pool.enqueue_job("job", number, hand.TEXT)

    async def many(self, numbers: Sequence[int]) -> None:
        await asyncio.gather(*(self.one(number) for number in numbers))

    async def left(self) -> int:
        """A job leaves this set when it has ended."""
        return int(await self._pool.zcard("arq:queue"))
