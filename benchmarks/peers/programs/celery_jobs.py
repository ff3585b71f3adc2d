"""Celery over Redis. It has no call for many at once; its producers can be kept for many calls."""

from __future__ import annotations

import time
from collections.abc import Sequence

import hand
import redis
import tally
from celery import Celery

app = Celery("celery_jobs", broker=f"redis+socket://{hand.BROKER}")
app.conf.update(hand.SETTINGS)


@app.task
def job(number: int, text: str) -> None:
    if tally.SLOW:
        time.sleep(tally.SLOW)
    tally.done(number)


class Queue:
    chunk = 500

    async def open(self) -> None:
        self._client = redis.Redis(unix_socket_path=hand.BROKER)

    async def one(self, number: int) -> None:
        job.delay(number, hand.TEXT)

    async def many(self, numbers: Sequence[int]) -> None:
        with app.producer_pool.acquire(block=True) as producer:
            for number in numbers:
                job.apply_async((number, hand.TEXT), producer=producer)

    async def left(self) -> int:
        return int(self._client.llen("celery")) + int(self._client.hlen("unacked"))
