"""Procrastinate over psycopg; many jobs go in by one call. Jobs of dead workers are given back by
a task of one's own, as its guide says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import hand
import psycopg
import tally
from procrastinate import App, PsycopgConnector

_stalled = hand.SETTINGS.pop("stalled", {"cron": "* * * * * */5", "seconds": 10})
app = App(connector=PsycopgConnector(conninfo=hand.BROKER), worker_defaults=hand.SETTINGS)


@app.task(name="job")
async def job(number: int, text: str) -> None:
    if tally.SLOW:
        await asyncio.sleep(tally.SLOW)
    tally.done(number)


@app.periodic(cron=_stalled["cron"])
@app.task(queue="stalled", queueing_lock="stalled", pass_context=True)
async def give_back(context: Any, timestamp: int) -> None:
    for one in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=_stalled["seconds"]):
        await app.job_manager.retry_job(one)


class Queue:
    chunk = 500

    async def open(self) -> None:
        await app.open_async()
        await app.schema_manager.apply_schema_async()
        self._db = await psycopg.AsyncConnection.connect(hand.BROKER, autocommit=True)

    async def one(self, number: int) -> None:
        await job.defer_async(number=number, text=hand.TEXT)

    async def many(self, numbers: Sequence[int]) -> None:
        await job.batch_defer_async(*({"number": n, "text": hand.TEXT} for n in numbers))

    async def left(self) -> int:
        rows = await self._db.execute(
            "SELECT count(*) FROM procrastinate_jobs"
            " WHERE queue_name = 'default' AND status IN ('todo', 'doing')"
        )
        return int((await rows.fetchone() or (0,))[0])
