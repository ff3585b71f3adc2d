"""Botrix itself, as a peer: jobs of one account, committed, then put into the line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import sqlalchemy as sa
import tally

from botrix.api.generate import new_job_id
from botrix.audit import Actor
from botrix.ledger.engine import create_engine
from botrix.ledger.ledger import Ledger, Submission
from botrix.ledger.migrate import upgrade
from botrix.ledger.queries import Queries
from botrix.line.line import Line, Placing
from botrix.model import Lane, NewJob
from botrix.services import open_ledger
from botrix.settings import Settings


class Queue:
    chunk = 500

    def __init__(self) -> None:
        self._settings = settings = Settings.read()
        self._ledger: Ledger = open_ledger(settings.ledger_url)
        self._line = Line.open(settings.redis_url)

    async def open(self) -> None:
        await asyncio.to_thread(upgrade, self._settings.ledger_url)
        self._queries = Queries(create_engine(self._settings.ledger_url))
        config = {"forget": True, "delay": tally.SLOW}
        await self._queries.add_directory(
            "default", "tally", "simulated", json.dumps(config), Actor("benchmark", "here")
        )

    async def one(self, number: int) -> None:
        await self.many([number])

    async def many(self, numbers: Sequence[int]) -> None:
        new = [Submission(NewJob(new_job_id(), 1, directory="tally")) for _ in numbers]
        taken = await self._ledger.submit(new)
        await self._line.push([Placing(t.job_id, t.place or 0, Lane.NORMAL) for t in taken])

    async def left(self) -> int:
        query = sa.text("SELECT count(*) FROM jobs WHERE finished_at IS NULL")
        async with self._queries.engine.connect() as db:
            return int((await db.execute(query)).scalar_one())
