"""A roster on its way into the ledger: in short transactions, seen by nobody until it is whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.errors import LedgerDown
from botrix.ledger.ledger import Submitted
from botrix.ledger.tables import (
    accounts,
    bad_rows,
    counters,
    idempotency_keys,
    jobs,
    place_sequence,
)
from botrix.model import NewJob, PlannedAccount


class Import:
    """One roster: begin, add (many times), then finish or abort."""

    def __init__(self, engine: AsyncEngine, job: NewJob) -> None:
        self._engine = engine
        self._job = job
        self._insert: Any = sqlite.insert
        if engine.dialect.name == "postgresql":
            self._insert = postgresql.insert
        self.count = 0
        self.bad = 0

    async def begin(self) -> None:
        job, now = self._job, time.time()
        values = {
            "id": job.id, "tenant_id": job.tenant_id, "source": job.source, "lane": job.lane,
            "directory": job.directory, "tries": job.tries, "count": 0, "importing": True,
            "created_at": now, "updated_at": now,
        }  # fmt: skip
        try:
            async with self._engine.begin() as db:
                await db.execute(sa.insert(jobs).values(**values))
        except (sa.exc.OperationalError, OSError) as error:
            raise LedgerDown("the ledger does not answer; send the roster again") from error

    async def add(
        self, planned: Sequence[PlannedAccount], bad: Sequence[tuple[int, str]]
    ) -> list[tuple[int, str]]:
        """One batch; indexes must follow on those before. Answers the rows whose user name came
        before in the roster, as (row, reason)."""
        async with self._engine.begin() as db:
            doubled = await self._add_accounts(db, planned)
            rows = [*bad, *doubled]
            if rows:
                values = [
                    {
                        "job_id": self._job.id,
                        "tenant_id": self._job.tenant_id,
                        "row": n,
                        "reason": r,
                    }
                    for n, r in rows
                ]
                await db.execute(self._insert(bad_rows).on_conflict_do_nothing(), values)
        self.bad += len(rows)
        return doubled

    async def _add_accounts(
        self, db: AsyncConnection, planned: Sequence[PlannedAccount]
    ) -> list[tuple[int, str]]:
        doubled = []
        now = time.time()
        for one in planned:
            values = {
                "job_id": self._job.id, "idx": one.index, "tenant_id": self._job.tenant_id,
                "username": one.person.username, "email": one.person.email,
                "given_name": one.person.given_name, "family_name": one.person.family_name,
                "display_name": one.person.display_name, "sealed": one.sealed, "row": one.row,
                "updated_at": now,
            }  # fmt: skip
            done = await db.execute(
                self._insert(accounts).values(**values).on_conflict_do_nothing()
            )
            if done.rowcount == 0:
                doubled.append((one.row or 0, await self._repeats(db, one.person.username)))
            else:
                self.count += 1
        return doubled

    async def _repeats(self, db: AsyncConnection, username: str) -> str:
        query = sa.select(accounts.c.row).where(
            accounts.c.job_id == self._job.id,
            sa.func.lower(accounts.c.username) == sa.func.lower(username),
            accounts.c.row.is_not(None),
        )
        return f"repeats the user name of row {(await db.execute(query)).scalar()}"

    async def finish(self, key: str | None, fingerprint: str) -> Submitted:
        """From here on the job is there; its place is returned, or the earlier job of the key."""
        job, now = self._job, time.time()
        async with self._engine.begin() as db:
            if key is not None:
                before = await self._before(db, key)
                if before is not None:
                    clash = before[1] != fingerprint
                    return Submitted(before[0], replay=not clash, clash=clash)
                values = {"key": key, "fingerprint": fingerprint, "job_id": job.id}
                await db.execute(
                    sa.insert(idempotency_keys).values(
                        **values, tenant_id=job.tenant_id, created_at=now
                    )
                )
            place = await self._next_place(db) if self.count else None
            change: dict[str, Any] = {
                "importing": False,
                "place": place,
                "bad_rows": self.bad,
                "updated_at": now,
            }
            change |= {"count": self.count, "next_index": self.count}
            if place is None:
                change |= {"status": "completed", "finished_at": now}
            await db.execute(sa.update(jobs).where(jobs.c.id == job.id).values(**change))
        return Submitted(job.id, place)

    async def abort(self) -> None:
        """Takes back what was added, in short transactions."""
        chunk = sa.select(accounts.c.idx).where(accounts.c.job_id == self._job.id).limit(5000)
        while True:
            async with self._engine.begin() as db:
                gone = await db.execute(
                    sa.delete(accounts).where(
                        accounts.c.job_id == self._job.id, accounts.c.idx.in_(chunk)
                    )
                )
                if gone.rowcount == 0:
                    await db.execute(sa.delete(jobs).where(jobs.c.id == self._job.id))
                    return

    async def _before(self, db: AsyncConnection, key: str) -> Any:
        query = sa.select(idempotency_keys.c.job_id, idempotency_keys.c.fingerprint).where(
            idempotency_keys.c.tenant_id == self._job.tenant_id, idempotency_keys.c.key == key
        )
        return (await db.execute(query)).first()

    async def _next_place(self, db: AsyncConnection) -> int:
        if self._engine.dialect.name == "postgresql":
            return int((await db.execute(sa.select(place_sequence.next_value()))).scalar_one())
        raised = sa.update(counters).where(counters.c.name == "place")
        raised = raised.values(value=counters.c.value + 1).returning(counters.c.value)
        return int((await db.execute(raised)).scalar_one())
