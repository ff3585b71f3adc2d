"""A worker's whole path, from the line to the last result shown, turned by hand: one pump and one
recorder of a real session tick in turns, so that each batch is as large as is wanted.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from botrix.audit import NOBODY
from botrix.ledger.engine import create_engine
from botrix.ledger.ledger import Submission
from botrix.ledger.queries import Queries
from botrix.line.line import Placing
from botrix.model import NewJob
from botrix.notify import Notifier
from botrix.services import Services
from botrix.settings import Settings
from botrix.worker.session import Session
from botrix.worker.stats import Stats
from tests.guard import postgres, sqlite
from tests.guard.calls import Calls
from tests.guard.ledger import Counts, Meter
from tests.guard.line import Watched, watched
from tests.guard.several import medians
from tests.guard.still import step

_TURNS = 3
_WITHIN = 30.0
_BATCHES = {"a job of 1": (1, 1), "128 jobs of 1": (128, 1), "a slice of 500": (1, 500)}
_IDLE = ("pulse", "peers", "dispatcher", "solitary", "reconciler", "prober", "heartbeat", "tally")


async def on_sqlite(folder: Path, path: Path) -> Counts:
    ledger = sqlite.Watched(path)

    async def meter() -> Counter[str]:
        return ledger.seen()

    return await _worked(folder, f"sqlite:///{path}", meter)


async def on_postgres(folder: Path, url: str) -> Counts:
    ledger = postgres.Watched(url)
    return await _worked(folder, ledger.url, ledger.seen)


async def _worked(folder: Path, url: str, of_ledger: Meter) -> Counts:
    calls = Calls()
    async with watched(folder) as line:
        settings = Settings.read({}, data=folder, ledger_url=url, redis_url=line.url, lease=3600.0)
        await add_directory(url)
        calls.begin()
        async with Services(settings) as services:
            stats = Stats()
            session = Session(services, "worker-1", stats, Notifier("", 0.0))
            await session.open()
            by_hand = _ByHand(services, session, stats, calls, of_ledger, line)
            try:
                busy = {what: await by_hand.worked(*batch) for what, batch in _BATCHES.items()}
                idle = {f"idle: {name}": await by_hand.ticked(name) for name in _IDLE}
                return busy | idle
            finally:
                await session.abandon()


async def add_directory(url: str) -> None:
    queries = Queries(create_engine(url))
    try:
        config = json.dumps({"forget": True, "concurrency": 1})
        await queries.add_directory("default", "noop", "simulated", config, NOBODY)
    finally:
        await queries.close()


class _ByHand:
    def __init__(
        self,
        services: Services,
        session: Session,
        stats: Stats,
        calls: Calls,
        of_ledger: Meter,
        line: Watched,
    ) -> None:
        self._parts = {part.name: part for part in session._parts()}
        self._services = services
        self._session = session
        self._stats = stats
        self._calls = calls
        self._of_ledger = of_ledger
        self._line = line

    async def worked(self, jobs: int, count: int) -> dict[str, float]:
        """The cost of such a batch, once one went before."""
        seen = []
        for turn in range(_TURNS + 1):
            await self._submit(f"{jobs}-{count}-{turn}", jobs, count)
            wanted = self._stats.accounts_created + jobs * count
            seen.append(await self._counted(lambda wanted=wanted: self._work(wanted)))
        return medians(seen[1:])

    async def ticked(self, name: str) -> dict[str, float]:
        """The cost of a tick of this part, when there is nothing to do."""
        seen = [await self._counted(self._parts[name].tick) for _ in range(_TURNS + 1)]
        return medians(seen[1:])

    async def _work(self, wanted: int) -> None:
        """All that is in the line, in one take, until so many accounts were ever created."""
        await self._parts["pump-1"].tick()
        while self._session.held or self._stats.accounts_created < wanted:
            await self._parts["recorder"].tick()

    async def _counted(self, work: Callable[[], Awaitable[object]]) -> Counter[str]:
        before = await self._meter()
        step()
        with self._calls.counted():
            async with asyncio.timeout(_WITHIN):
                await work()
        return (await self._meter()) - before

    async def _submit(self, name: str, jobs: int, count: int) -> None:
        new = [NewJob(f"{name}-{n:03}", count, directory="noop") for n in range(jobs)]
        done = await self._services.ledger.submit([Submission(job) for job in new])
        places = zip(new, done, strict=True)
        await self._services.line.push(
            [Placing(job.id, one.place or 0, job.lane) for job, one in places]
        )

    async def _meter(self) -> Counter[str]:
        line = {f"line: {what}": n for what, n in (await self._line.seen()).items()}
        return Counter({**await self._of_ledger(), **line, **self._calls.seen()})
