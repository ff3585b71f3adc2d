"""Dramatiq over its Redis broker. It has no call for many at once."""

from __future__ import annotations

import time
from collections.abc import Sequence

import dramatiq
import hand
import redis
import tally
from dramatiq.brokers.redis import RedisBroker

client = redis.Redis(unix_socket_path=hand.BROKER)
broker = RedisBroker(client=client, **hand.SETTINGS)
dramatiq.set_broker(broker)


@dramatiq.actor
def job(number: int, text: str) -> None:
    if tally.SLOW:
        time.sleep(tally.SLOW)
    tally.done(number)


class Queue:
    chunk = 500

    async def open(self) -> None:
        client.ping()

    async def one(self, number: int) -> None:
        job.send(number, hand.TEXT)

    async def many(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            job.send(number, hand.TEXT)

    async def left(self) -> int:
        """What waits or is under way is in this hash until its ack."""
        return int(client.hlen("dramatiq:default.msgs"))
