"""Cold queries, in SQLAlchemy Core for both databases: what people look at, and what they decide.

Every look-up filters by tenant; another tenant's id is not found. No answer holds a sealed
password; those leave by passwords.py.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Act, Actor
from botrix.errors import Conflict, NotFound
from botrix.ledger import account_lists, job_lists, note_lists, statistics
from botrix.ledger.account_lists import ACCOUNT
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin, now
from botrix.ledger.idempotency import first_use
from botrix.ledger.job_lists import JOB, JobFilter
from botrix.ledger.tables import (
    accounts,
    bad_rows,
    directories,
    history,
    idempotency_keys,
    jobs,
    sessions,
    tenants,
)
from botrix.ledger.undo import ties
from botrix.states import Happening

Row = dict[str, Any]
_SUM = jobs.c.created + jobs.c.existing + jobs.c.failed + jobs.c.cancelled + jobs.c.deleted


class Queries:
    """All raise LedgerDown where the database does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def jobs(
        self, tenant: str, where: Mapping[str, Any], before: tuple[float, str] | None, limit: int
    ) -> list[Row]:
        """Newest first, older than `before`; where: see JobFilter."""
        return await job_lists.listed(self.engine, tenant, JobFilter(**where), before, limit)

    async def job(self, tenant: str, job_id: str) -> Row:
        async with begin(self.engine, reading=True) as db:
            return await self._job(db, tenant, job_id)

    async def named(self, tenant: str, ids: Collection[str]) -> list[Row]:
        """The jobs of these ids that are the tenant's own, in no order."""
        mine = (jobs.c.tenant_id == tenant, jobs.c.id.in_(ids), ~jobs.c.importing)
        return await self._rows(sa.select(*JOB).where(*mine))

    async def those_of(self, tenant: str, ids: Collection[str]) -> set[str]:
        """The ids of jobs that are the tenant's own."""
        query = sa.select(jobs.c.id).where(jobs.c.tenant_id == tenant, jobs.c.id.in_(ids))
        return {row["id"] for row in await self._rows(query)}

    async def job_stats(self, tenant: str) -> Row:
        return await statistics.of_jobs(self.engine, tenant)

    async def accounts(
        self, tenant: str, where: Mapping[str, str], after: tuple[str, int] | None, limit: int
    ) -> list[Row]:
        """In the order of job and index, after `after`; where: job_id, status, and reason of a
        job's."""
        more = {name: value for name, value in where.items() if name != "job_id"}
        if "job_id" not in where:
            return await account_lists.of_tenant(
                self.engine, tenant, more.get("status"), after, limit
            )
        index = -1 if after is None else after[1]
        return await account_lists.of_job(
            self.engine, tenant, where["job_id"], index, limit, **more
        )

    async def account(self, tenant: str, job_id: str, index: int) -> Row:
        rows = await self._rows(sa.select(*ACCOUNT).where(*_one(tenant, job_id, index)))
        if not rows:
            raise NotFound(f"there is no account {job_id}:{index}; it may not be planned yet")
        return rows[0]

    async def account_stats(self, tenant: str) -> Row:
        return await statistics.of_accounts(self.engine, tenant)

    async def bad_rows(self, tenant: str, job_id: str, after: int, limit: int) -> list[Row]:
        query = sa.select(bad_rows.c.row, bad_rows.c.reason).where(
            bad_rows.c.tenant_id == tenant, bad_rows.c.job_id == job_id, bad_rows.c.row > after
        )
        return await self._rows(query.order_by(bad_rows.c.row).limit(limit))

    async def directories(self, tenant: str) -> list[Row]:
        """By name. secrets: which settings are sealed, and nothing of what they hold."""
        query = sa.select(directories).where(directories.c.tenant_id == tenant)
        rows = await self._rows(query.order_by(directories.c.name))
        return [{**row, "secrets": sorted(json.loads(row["secrets"]))} for row in rows]

    async def add_directory(
        self, tenant: str, name: str, kind: str, config: str, actor: Actor, *,
        secrets: str = "{}", policy: str = "{}", key: str | None = None, fingerprint: str = "",
    ) -> None:  # fmt: skip
        """All JSON but the names; see DirectoryRow. Raises NotFound where there is no such tenant,
        Conflict where the name is in use, InvalidInput where the key came with something else."""
        values = {"name": name, "kind": kind, "config": config, "secrets": secrets}
        values |= {"tenant_id": tenant, "policy": policy}
        try:
            async with self._begin() as db:
                if not (await db.execute(sa.select(1).where(tenants.c.id == tenant))).first():
                    raise NotFound(f"there is no tenant {tenant!r}; see: botrix tenant list")
                if not await first_use(db, tenant, key, fingerprint, name):
                    return
                await db.execute(sa.insert(directories).values(**values, created_at=now()))
                await note_act(db, Act("directory.add", name, kind, tenant), actor)
        except sa.exc.IntegrityError:
            raise Conflict(f"there is a directory {name!r} already; choose another name") from None

    async def set_secrets(
        self, tenant: str, name: str, seen: str, secrets: str, actor: Actor
    ) -> None:
        """In place of those that were seen. Raises Conflict where these are others by now."""
        mine = (directories.c.tenant_id == tenant, directories.c.name == name)
        query = sa.update(directories).where(*mine, directories.c.secrets == seen)
        async with self._begin() as db:
            if (await db.execute(query.values(secrets=secrets))).rowcount != 1:
                raise Conflict(f"the secrets of {name!r} were changed meanwhile; try again")
            await note_act(db, Act("directory.secret", name, "", tenant), actor)

    async def live_workers(self) -> dict[str, int]:
        """How many there are of each version."""
        counted = sa.select(sessions.c.version, sa.func.count().label("n"))
        counted = counted.where(sessions.c.status == "live").group_by(sessions.c.version)
        return {str(row["version"]): int(row["n"]) for row in await self._rows(counted)}

    async def cancel(self, tenant: str, job_id: str, actor: Actor, key: str | None = None) -> Row:
        """What was not planned yet is cancelled here; the dispatcher sweeps what was."""
        left = jobs.c.count - jobs.c.next_index
        async with self._begin() as db:
            job = await self._locked(db, tenant, job_id)
            if not await first_use(db, tenant, key, f"cancel:{job_id}", job_id):
                return await self._job(db, tenant, job_id)
            if job["status"] not in ("pending", "running"):
                raise Conflict(
                    f"job {job_id} is {job['status']}; only an open job can be cancelled"
                )
            change: Row = {"cancelled": jobs.c.cancelled + left, "next_index": jobs.c.count}
            change |= {"status": "cancelling", "place": None, "due_at": 0, "updated_at": now()}
            change |= _WAITS_NO_MORE
            await db.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**change))
            done = sa.update(jobs).where(jobs.c.id == job_id, jobs.c.count == _SUM)
            end = {"status": "cancelled", "due_at": None, "finished_at": now()}
            await db.execute(done.values(**end, look_at=now()))
            await _note(db, tenant, job_id, Happening.CANCEL)
            found = await self._job(db, tenant, job_id)
            await note_act(db, Act("job.cancel", job_id, "", tenant), actor)
            return found

    async def retry(
        self, tenant: str, job_id: str, actor: Actor, key: str | None = None, *,
        reason: str | None = None,
    ) -> Row:  # fmt: skip
        """Opens just the failed accounts of a failed job again, with all their tries; of these just
        those that failed for a reason, if one is given."""
        async with self._begin() as db:
            tied = await ties(db, tenant, job_id)
            job = await self._locked(db, tenant, job_id)
            if not await first_use(db, tenant, key, f"retry:{job_id}", job_id):
                return await self._job(db, tenant, job_id)
            if job["status"] != "failed":
                raise Conflict(f"job {job_id} is {job['status']}; only a failed job can be retried")
            if tied.busy is not None:
                raise Conflict(tied.busy)
            again = {"status": "planned", "tries": 0, "crashes": 0, "reason": None, "detail": None}
            failed = [accounts.c.job_id == job_id, accounts.c.status == "failed"]
            if reason is not None:
                failed.append(accounts.c.reason == reason)
            erased = sa.select(accounts.c.idx).where(*failed, accounts.c.sealed.is_(None)).limit(1)
            if tied.undoes is None and (await db.execute(erased)).first() is not None:
                raise Conflict(
                    f"the passwords of job {job_id} were erased, so it cannot be retried; ask for "
                    "what failed in a new job"
                )
            opened = await db.execute(
                sa.update(accounts).where(*failed).values(**again, not_before=0, updated_at=now())
            )
            if opened.rowcount == 0:
                raise Conflict(f"no account of job {job_id} failed for {reason!r}")
            change: Row = {"status": "running", "failed": jobs.c.failed - opened.rowcount}
            change |= {"due_at": 0, "finished_at": None}
            change |= {"look_at": None, "looked_at": None, "exported_at": None, **_WAITS_NO_MORE}
            await db.execute(
                sa.update(jobs).where(jobs.c.id == job_id).values(**change, updated_at=now())
            )
            await _note(db, tenant, job_id, Happening.RETRY)
            found = await self._job(db, tenant, job_id)
            await note_act(db, Act("job.retry", job_id, reason or "", tenant), actor)
            return found

    async def key_was_used(self, tenant: str, key: str | None) -> bool:
        kept = idempotency_keys.c
        query = sa.select(kept.key).where(kept.tenant_id == tenant, kept.key == key)
        return key is not None and bool(await self._rows(query))

    async def forget_keys(self, older_than: float, limit: int = 1000) -> int:
        """Idempotency-Keys that came so many seconds ago; how many there were, at most `limit`."""
        kept = idempotency_keys
        old = sa.select(kept.c.tenant_id, kept.c.key).where(kept.c.created_at < now() - older_than)
        which = sa.tuple_(kept.c.tenant_id, kept.c.key).in_(old.limit(limit))
        async with self._begin() as db:
            return (await db.execute(sa.delete(kept).where(which))).rowcount

    async def history(
        self, tenant: str, job_id: str, index: int | None, after: int, limit: int
    ) -> list[Row]:
        """Of a job with its accounts, or of one account; in order, after note `after`. Each with
        the worker whose session it was."""
        dialect = self.engine.dialect.name
        return await self._rows(note_lists.page(tenant, job_id, index, after, limit, dialect))

    async def last_worker(self, tenant: str, job_id: str, index: int) -> Row:
        """Whose session had the last lease of an account: session and worker, or None each."""
        query = sa.select(accounts.c.last_session, sessions.c.worker_id).outerjoin(
            sessions, sessions.c.id == accounts.c.last_session
        )
        return (await self._rows(query.where(*_one(tenant, job_id, index))))[0]

    async def _job(self, db: AsyncConnection, tenant: str, job_id: str) -> Row:
        query = sa.select(*JOB).where(jobs.c.tenant_id == tenant, jobs.c.id == job_id)
        row = (await db.execute(query.where(~jobs.c.importing))).mappings().first()
        if row is None:
            raise NotFound(f"there is no job {job_id!r}; look among all jobs for it")
        return dict(row)

    async def _locked(self, db: AsyncConnection, tenant: str, job_id: str) -> Row:
        query = sa.select(jobs.c.status).where(jobs.c.tenant_id == tenant, jobs.c.id == job_id)
        query = query.where(~jobs.c.importing).with_for_update()
        row = (await db.execute(query)).mappings().first()
        if row is None:
            raise NotFound(f"there is no job {job_id!r}; look among all jobs for it")
        return dict(row)

    async def _rows(self, query: sa.Select[Any]) -> list[Row]:
        async with begin(self.engine, reading=True) as db:
            return [dict(row) for row in (await db.execute(query)).mappings()]

    def _begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return begin(self.engine)

    async def close(self) -> None:
        await self.engine.dispose()


_WAITS_NO_MORE: Row = {"paused": False, "waits": None}
"""Of a job that waited for a person: the dispatcher passes by those that do."""


def _one(tenant: str, job_id: str, index: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        accounts.c.tenant_id == tenant,
        accounts.c.job_id == job_id,
        accounts.c.idx == index,
    )


async def _note(db: AsyncConnection, tenant: str, job_id: str, what: Happening) -> None:
    values = {"tenant_id": tenant, "job_id": job_id, "what": what.value}
    await db.execute(sa.insert(history).values(**values, at=now()))
