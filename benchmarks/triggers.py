"""What the triggers of webhooks cost jobs of one account, through the ledger's verbs.

    python -m benchmarks.triggers

Each round takes new jobs from submission to their end, 100 at a time: without the triggers, with
them and no webhook, and with one webhook of the tenant. Rounds alternate; medians count.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from botrix.ledger.engine import create_engine
from botrix.ledger.ledger import Asked, Ledger, Room, Submission
from botrix.ledger.migrate import upgrade
from botrix.model import NewJob, Person, PlannedAccount, Result
from botrix.services import open_ledger
from botrix.states import AccountStatus
from tests.servers.postgres import postgres_server

ROUNDS, BATCHES, BATCH = 15, 10, 100
_WEBHOOK = "INSERT INTO webhooks (id, url, secret, created_at) VALUES ('w', 'https://x', '', 0)"
_TRIGGERS = ("jobs_entered", "jobs_moved")


def _plan(
    tenant: str, job: str, template: str | None, indexes: range, policy: str | None
) -> list[PlannedAccount]:
    person = Person("user", "user@example.org", "Given", "Family", "Given Family")
    return [PlannedAccount(job, index, person, b"sealed") for index in indexes]


async def _round(ledger: Ledger, name: str) -> float:
    """Microseconds a job."""
    began = time.perf_counter()
    for batch in range(BATCHES):
        jobs = [NewJob(f"{name}-{batch}-{n}", 1) for n in range(BATCH)]
        placed = await ledger.submit([Submission(job) for job in jobs])
        asked = [Asked(one.job_id, one.place) for one in placed]
        claim = await ledger.claim("s", asked, Room(BATCH), _plan)
        results = [
            Result(one.job_id, one.index, one.attempt, AccountStatus.CREATED, entry_id="x")
            for one in claim.accounts
        ]
        recorded = await ledger.record("s", results)
        assert recorded.accepted == BATCH
    return (time.perf_counter() - began) / (BATCHES * BATCH) * 1e6


class _Switch:
    """Puts triggers and a webhook there, or takes them away."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)
        self._made: list[str] = []

    async def to(self, case: str) -> None:
        async with self._engine.begin() as db:
            postgres = db.dialect.name == "postgresql"
            if not postgres and not self._made:
                found = (
                    f"SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name IN {_TRIGGERS}"
                )
                self._made = list((await db.execute(sa.text(found))).scalars())
            on = case != "without"
            if postgres:
                verb = "ENABLE" if on else "DISABLE"
                for name in _TRIGGERS:
                    await db.exec_driver_sql(f"ALTER TABLE jobs {verb} TRIGGER {name}")
            else:
                for name in _TRIGGERS:
                    await db.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
                for sql in self._made if on else ():
                    await db.exec_driver_sql(sql)
            await db.exec_driver_sql("DELETE FROM deliveries")
            await db.exec_driver_sql("DELETE FROM webhooks")
            if case == "one webhook":
                await db.exec_driver_sql(_WEBHOOK)

    async def close(self) -> None:
        await self._engine.dispose()


async def measure(url: str) -> dict[str, float]:
    ledger, switch = open_ledger(url), _Switch(url)
    await ledger.open_session("s", "w", "host", 1, "0")
    took: dict[str, list[float]] = {"without": [], "no webhook": [], "one webhook": []}
    for n in range(ROUNDS + 1):
        for case in random.sample(list(took), len(took)):
            found = took[case]
            await switch.to(case)
            found.append(await _round(ledger, f"{n}-{case.replace(' ', '-')}"))
    await ledger.close()
    await switch.close()
    return {case: round(statistics.median(found[1:]), 1) for case, found in took.items()}


async def _main() -> dict[str, dict[str, float]]:
    with TemporaryDirectory(prefix="bx-") as name, postgres_server() as server:
        lite = f"sqlite:///{Path(name) / 'ledger.sqlite'}"
        await asyncio.to_thread(upgrade, lite)
        return {"SQLite": await measure(lite), "PostgreSQL": await measure(await server.database())}


if __name__ == "__main__":
    found = asyncio.run(_main())
    if "--json" in sys.argv:
        print(json.dumps(found))
    else:
        for database, cases in found.items():
            print(database, ", ".join(f"{case}: {took} µs a job" for case, took in cases.items()))
