"""A roster on its way into the ledger: in short transactions, seen by nobody until it is whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import NOBODY, Actor
from botrix.errors import InvalidInput, LedgerDown
from botrix.extra import packed
from botrix.ledger.audit import note_act
from botrix.ledger.engine import now
from botrix.ledger.ledger import Submitted, submission
from botrix.ledger.quotas import COUNTED, Quota, too_many
from botrix.ledger.tables import (
    ROSTER_NAME,
    accounts,
    bad_rows,
    counters,
    idempotency_keys,
    jobs,
    place_sequence,
    roster_chunks,
    tenants,
)
from botrix.ledger.uploads import Copy, some_chunks
from botrix.model import NewJob, tag_of
from botrix.repeats import Repeats, RosterRow

Seal = Callable[[str, str], bytes]
"""(password, tag) -> sealed."""


_NAMES = 5000
"""Asked for at once: a statement has 32,766 variables at most."""
_ENTER = sa.insert(accounts).values(updated_at=now())
_QUOTAS = (tenants.c.open_jobs, tenants.c.accounts_per_job, tenants.c.accounts_per_day)


class Import:
    """One roster: begin, add (many times), then finish or abort."""

    def __init__(self, engine: AsyncEngine, job: NewJob, actor: Actor = NOBODY) -> None:
        self._engine = engine
        self._job = job
        self._actor = actor
        self.count = 0
        self.bad = 0
        self._most: int | None = None
        self._repeats = Repeats()

    async def begin(self, key: str | None = None) -> None:
        """key: where it was used before, the roster is read to its end whatever the quota, for it
        may be the same one."""
        job = self._job
        values = {
            "id": job.id, "tenant_id": job.tenant_id, "source": job.source, "lane": job.lane,
            "directory": job.directory, "tries": job.tries, "count": 0, "importing": True,
            "created_at": now(), "updated_at": now(), "stage": job.stage, "reach": job.reach,
            "gate": job.gate, "max_failures": job.max_failures, "on_conflict": job.on_conflict,
            "not_before": job.not_before, "traceparent": job.traceparent,
        }  # fmt: skip
        async with self._begin() as db:
            await db.execute(sa.insert(jobs).values(**values))
            if key is None or await self._user(db, key) is None:
                query = sa.select(tenants.c.accounts_per_job)
                found = await db.execute(query.where(tenants.c.id == job.tenant_id))
                self._most = found.scalar_one_or_none()

    async def add(
        self,
        rows: Sequence[RosterRow],
        bad: Sequence[tuple[int, str]],
        seal: Seal,
        copy: Copy | None = None,
    ) -> list[tuple[int, str]]:
        """One batch, in one transaction, with what `copy` has of it. Answers the rows whose user
        name came before in the roster and may not give way, as (row, reason); they are kept with
        the bad ones. Raises
        InvalidInput where there are more than the tenant may ask for in one job."""
        async with self._begin() as db:
            await self._touch(db, {"updated_at": now()})
            good, repeated = await self._repeats.settle(rows, partial(self._taken, db))
            reason = too_many(self._job.tenant_id, self.count + len(good), self._most)
            if reason is not None:
                raise InvalidInput(reason)
            if good:
                await db.execute(_ENTER, self._values(good, seal))
            left_out = [*bad, *repeated]
            if left_out:
                await db.execute(sa.insert(bad_rows), [self._bad(*one) for one in left_out])
            if chunk := copy and copy.chunk({number for number, _ in left_out}):
                await db.execute(sa.insert(roster_chunks).values(chunk))
        self.count += len(good)
        self.bad += len(left_out)
        return repeated

    async def _taken(self, db: AsyncConnection, names: Collection[str]) -> dict[str, int]:
        """Of these user names (in lower case) those that the roster has so far, and their rows."""
        folded = sa.func.lower(accounts.c.username)
        mine = sa.select(folded, accounts.c.row).where(
            accounts.c.job_id == self._job.id, accounts.c.row.is_not(None)
        )
        # or SQLite reads all that the roster has so far
        mine = mine.with_hint(accounts, f"INDEXED BY {ROSTER_NAME}", "sqlite")
        found: dict[str, int] = {}
        for some in _parts(list(names)):
            found |= dict((await db.execute(mine.where(folded.in_(some)))).all())
        return found

    def _values(self, rows: Sequence[RosterRow], seal: Seal) -> list[dict[str, Any]]:
        fixed = {"job_id": self._job.id, "tenant_id": self._job.tenant_id}
        return [
            {
                **fixed,
                "idx": index,
                "username": row.person.username,
                "email": row.person.email,
                "given_name": row.person.given_name,
                "family_name": row.person.family_name,
                "display_name": row.person.display_name,
                "extra": packed(row.person),
                "sealed": seal(row.password, tag_of(self._job.id, index)),
                "row": row.number,
            }
            for index, row in enumerate(rows, self.count)
        ]

    def _bad(self, number: int, reason: str) -> dict[str, Any]:
        job = self._job
        return {"job_id": job.id, "tenant_id": job.tenant_id, "row": number, "reason": reason}

    async def finish(
        self, key: str | None, fingerprint: str, digest: str = "", layout: str | None = None
    ) -> Submitted:
        """From here on the job is there, made of a roster of this digest; its place is returned, or
        the earlier job of the key, or why the tenant may not have it: then nothing was written, and
        `abort` is to follow."""
        job = self._job
        async with self._begin() as db:
            earlier = await self._earlier(db, key, fingerprint) if key is not None else None
            if earlier is not None:
                return earlier
            refusal = await self._refusal(db) if self.count else None
            if refusal is not None:
                await db.rollback()
                return refusal
            later = await self._later(db)
            place = await next_place(db) if self.count and not later else None
            change: dict[str, Any] = {
                "importing": False,
                "place": place,
                "bad_rows": self.bad,
                "due_at": job.not_before if self.count and later else None,
                "digest": digest or None,
                "updated_at": now(),
                "layout": layout,
            }
            change |= {"count": self.count, "next_index": self.count}
            if not self.count:
                change |= {"status": "completed", "finished_at": now()}
            await self._touch(db, change)
            await note_act(db, submission(job, self.count, "job.import"), self._actor)
        return Submitted(job.id, place)

    async def _later(self, db: AsyncConnection) -> bool:
        if self._job.not_before is None:
            return False
        return bool((await db.execute(sa.select(now() < self._job.not_before))).scalar_one())

    async def abort(self) -> None:
        """Takes back what was added, in short transactions."""
        await take_back(self._engine, self._job.id)

    async def _touch(self, db: AsyncConnection, change: dict[str, Any]) -> None:
        """Raises LedgerDown where a sweep took the import for abandoned."""
        mine = sa.update(jobs).where(jobs.c.id == self._job.id, jobs.c.importing)
        if (await db.execute(mine.values(**change))).rowcount != 1:
            raise LedgerDown("the roster took too long and was taken back; send it again")

    async def _refusal(self, db: AsyncConnection) -> Submitted | None:
        """Under a lock on the tenant, where it has a quota that several could break together."""
        job = msgspec.structs.replace(self._job, count=self.count)
        mine = (tenants.c.id == job.tenant_id, sa.or_(*(c.is_not(None) for c in _QUOTAS)))
        locked = sa.select(tenants.c.id, *_QUOTAS, tenants.c.day, tenants.c.accounts_today)
        row = (await db.execute(locked.where(*mine).with_for_update(key_share=True))).first()
        if row is None:
            return None
        quota = Quota(*row)
        some = sa.select(sa.literal(1)).where(jobs.c.tenant_id == quota.id, sa.text(COUNTED))
        some = some.select_from(jobs).limit(quota.open_jobs or 0)
        query = sa.select(sa.select(sa.func.count()).select_from(some.subquery()).scalar_subquery())
        quota.open, at = (await db.execute(query.add_columns(now()))).one()
        refusal = quota.enter(job, at)
        if refusal is None:
            spent = {"day": quota.day, "accounts_today": quota.accounts_today}
            await db.execute(sa.update(tenants).where(tenants.c.id == quota.id).values(**spent))
        return refusal

    def _begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return _begin(self._engine)

    async def _earlier(self, db: AsyncConnection, key: str, fingerprint: str) -> Submitted | None:
        """The job that used the key before; else the key is ours from here on."""
        tenant = self._job.tenant_id
        values = {"key": key, "fingerprint": fingerprint, "job_id": self._job.id}
        insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
        entered = insert(idempotency_keys).values(**values, tenant_id=tenant, created_at=now())
        if (await db.execute(entered.on_conflict_do_nothing())).rowcount == 1:
            return None
        user = await self._user(db, key)
        assert user is not None
        job_id, before = user
        return Submitted(job_id, replay=before == fingerprint, clash=before != fingerprint)

    async def _user(self, db: AsyncConnection, key: str) -> tuple[str, str] | None:
        """The job that used the key, and the fingerprint of its roster."""
        query = sa.select(idempotency_keys.c.job_id, idempotency_keys.c.fingerprint).where(
            idempotency_keys.c.tenant_id == self._job.tenant_id, idempotency_keys.c.key == key
        )
        row = (await db.execute(query)).first()
        return None if row is None else (row[0], row[1])


async def next_place(db: AsyncConnection) -> int:
    """In the line."""
    if db.dialect.name == "postgresql":
        return int((await db.execute(sa.select(place_sequence.next_value()))).scalar_one())
    raised = sa.update(counters).where(counters.c.name == "place")
    raised = raised.values(value=counters.c.value + 1).returning(counters.c.value)
    return int((await db.execute(raised)).scalar_one())


def _parts(names: list[str]) -> Iterator[list[str]]:
    return (names[at : at + _NAMES] for at in range(0, len(names), _NAMES))


async def sweep(engine: AsyncEngine, older_than: float) -> int:
    """Takes back imports that nothing was added to for so many seconds: their API was killed. How
    many there were."""
    query = sa.select(jobs.c.id).where(jobs.c.importing, jobs.c.updated_at < now() - older_than)
    async with _begin(engine) as db:
        abandoned = list((await db.execute(query.limit(100))).scalars())
    for job_id in abandoned:
        await take_back(engine, job_id)
    return len(abandoned)


async def take_back(engine: AsyncEngine, job_id: str) -> None:
    """A job that is not whole, in short transactions. One that is, after all, is left alone: the
    answer to the commit that made it so may have been lost."""
    locked = sa.select(jobs.c.id).where(jobs.c.id == job_id, jobs.c.importing).with_for_update()
    chunk = sa.select(accounts.c.idx).where(accounts.c.job_id == job_id).limit(5000)
    some = sa.delete(accounts).where(accounts.c.job_id == job_id, accounts.c.idx.in_(chunk))
    rest = some_chunks(job_id)
    while True:
        async with _begin(engine) as db:
            if (await db.execute(locked)).first() is None:
                return
            if (await db.execute(some)).rowcount == (await db.execute(rest)).rowcount == 0:
                await db.execute(sa.delete(jobs).where(jobs.c.id == job_id, jobs.c.importing))
                return


@asynccontextmanager
async def _begin(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    try:
        async with engine.begin() as connection:
            yield connection
    except (sa.exc.OperationalError, sa.exc.InterfaceError, OSError) as error:
        raise LedgerDown("the ledger does not answer; send the roster again") from error
