"""PgQueuer over asyncpg; many jobs go in by one call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import hand
import tally
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries


async def work() -> None:
    """Not by its command line, which with the newest typer does not start (1.6.0)."""
    queue = PgQueuer(AsyncpgDriver(await asyncpg.connect(hand.BROKER)))

    @queue.entrypoint("job")
    async def job(taken: Job) -> None:
        assert taken.payload is not None
        number = json.loads(taken.payload)["number"]
        if tally.SLOW:
            await asyncio.sleep(tally.SLOW)
        tally.done(number)

    heartbeat = timedelta(seconds=hand.SETTINGS["heartbeat_timeout"])
    await queue.run(batch_size=hand.SETTINGS["batch_size"], heartbeat_timeout=heartbeat)


def _payload(number: int) -> bytes:
    return json.dumps({"number": number, "text": hand.TEXT}).encode()


class Queue:
    chunk = 500

    async def open(self) -> None:
        self._db = await asyncpg.connect(hand.BROKER)
        self._queries = Queries(AsyncpgDriver(self._db))
        await self._queries.install()

    async def one(self, number: int) -> None:
        await self._queries.enqueue("job", _payload(number))

    async def many(self, numbers: Sequence[int]) -> None:
        n = len(numbers)
        await self._queries.enqueue(["job"] * n, [_payload(one) for one in numbers], [0] * n)

    async def left(self) -> int:
        return int(await self._db.fetchval("SELECT count(*) FROM pgqueuer"))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
