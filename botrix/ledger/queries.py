"""Cold queries, in SQLAlchemy Core for both databases: what people look at, and what they decide.

Every look-up filters by tenant; another tenant's id is not found. No answer holds a sealed
password; those leave by passwords.py.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Act, Actor
from botrix.errors import Conflict, NotFound
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin, now
from botrix.ledger.idempotency import first_use
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
from botrix.model import Happening

Row = dict[str, Any]
_HIDDEN = ("next_index", "due_at", "not_before", "importing", "look_at", "looked_at")
_PROVISIONAL = sa.and_(jobs.c.look_at.is_not(None), jobs.c.looked_at.is_(None))
_JOB = [*(c for c in jobs.c if c.name not in _HIDDEN), _PROVISIONAL.label("provisional")]
_ACCOUNT = [
    c for c in accounts.c if c.name not in ("sealed", "session_id", "last_session", "in_doubt")
]
_SUM = jobs.c.created + jobs.c.existing + jobs.c.failed + jobs.c.cancelled + jobs.c.deleted


class Queries:
    """All raise LedgerDown where the database does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def jobs(
        self, tenant: str, where: dict[str, str], before: tuple[float, str] | None, limit: int
    ) -> list[Row]:
        """Newest first, older than `before`; `where` holds wanted values by column."""
        query = sa.select(*_JOB).where(jobs.c.tenant_id == tenant, ~jobs.c.importing)
        query = query.where(*(jobs.c[name] == value for name, value in where.items()))
        if before is not None:
            at, ident = before
            older = sa.or_(
                jobs.c.created_at < at, sa.and_(jobs.c.created_at == at, jobs.c.id < ident)
            )
            query = query.where(older)
        return await self._rows(
            query.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)
        )

    async def job(self, tenant: str, job_id: str) -> Row:
        async with self._begin() as db:
            return await self._job(db, tenant, job_id)

    async def those_of(self, tenant: str, ids: Collection[str]) -> set[str]:
        """The ids of jobs that are the tenant's own."""
        query = sa.select(jobs.c.id).where(jobs.c.tenant_id == tenant, jobs.c.id.in_(ids))
        return {row["id"] for row in await self._rows(query)}

    async def job_stats(self, tenant: str) -> Row:
        by_status = sa.select(jobs.c.status, sa.func.count().label("jobs"))
        totals = [sa.func.coalesce(sa.func.sum(jobs.c[n]), 0).label(n) for n in _TOTALS]
        mine = (jobs.c.tenant_id == tenant, ~jobs.c.importing)
        statuses = await self._rows(by_status.where(*mine).group_by(jobs.c.status))
        sums = await self._rows(sa.select(*totals).where(*mine))
        return {"jobs": {r["status"]: r["jobs"] for r in statuses}, "accounts": sums[0]}

    async def accounts(
        self, tenant: str, where: dict[str, str], after: tuple[str, int] | None, limit: int
    ) -> list[Row]:
        """In the order of job and index, after `after`."""
        query = sa.select(*_ACCOUNT).where(accounts.c.tenant_id == tenant)
        query = query.where(*(accounts.c[name] == value for name, value in where.items()))
        if after is not None:
            job_id, idx = after
            later = sa.or_(
                accounts.c.job_id > job_id,
                sa.and_(accounts.c.job_id == job_id, accounts.c.idx > idx),
            )
            query = query.where(later)
        return await self._rows(query.order_by(accounts.c.job_id, accounts.c.idx).limit(limit))

    async def account(self, tenant: str, job_id: str, index: int) -> Row:
        rows = await self._rows(sa.select(*_ACCOUNT).where(*_one(tenant, job_id, index)))
        if not rows:
            raise NotFound(f"there is no account {job_id}:{index}; it may not be planned yet")
        return rows[0]

    async def account_stats(self, tenant: str) -> Row:
        query = sa.select(accounts.c.status, sa.func.count().label("accounts"))
        query = query.where(accounts.c.tenant_id == tenant).group_by(accounts.c.status)
        return {row["status"]: row["accounts"] for row in await self._rows(query)}

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
        secrets: str = "{}", policy: str = "{}",
    ) -> None:  # fmt: skip
        """All JSON but the names; see DirectoryRow. Raises NotFound where there is no such tenant,
        Conflict where the name is in use."""
        values = {"name": name, "kind": kind, "config": config, "secrets": secrets}
        values |= {"tenant_id": tenant, "policy": policy}
        try:
            async with self._begin() as db:
                if not (await db.execute(sa.select(1).where(tenants.c.id == tenant))).first():
                    raise NotFound(f"there is no tenant {tenant!r}; see: botrix tenant list")
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
            await db.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**change))
            done = sa.update(jobs).where(jobs.c.id == job_id, jobs.c.count == _SUM)
            end = {"status": "cancelled", "due_at": None, "finished_at": now()}
            await db.execute(done.values(**end, look_at=now()))
            await _note(db, tenant, job_id, Happening.CANCEL)
            found = await self._job(db, tenant, job_id)
            await note_act(db, Act("job.cancel", job_id, "", tenant), actor)
            return found

    async def retry(self, tenant: str, job_id: str, actor: Actor, key: str | None = None) -> Row:
        """Opens just the failed accounts of a failed job again, with all their tries."""
        async with self._begin() as db:
            job = await self._locked(db, tenant, job_id)
            if not await first_use(db, tenant, key, f"retry:{job_id}", job_id):
                return await self._job(db, tenant, job_id)
            if job["status"] != "failed":
                raise Conflict(f"job {job_id} is {job['status']}; only a failed job can be retried")
            again = {"status": "planned", "tries": 0, "crashes": 0, "reason": None, "detail": None}
            failed = (accounts.c.job_id == job_id, accounts.c.status == "failed")
            erased = sa.select(accounts.c.idx).where(*failed, accounts.c.sealed.is_(None)).limit(1)
            if (await db.execute(erased)).first() is not None:
                raise Conflict(
                    f"the passwords of job {job_id} were erased, so it cannot be retried; ask for "
                    "what failed in a new job"
                )
            await db.execute(
                sa.update(accounts).where(*failed).values(**again, not_before=0, updated_at=now())
            )
            change = {"status": "running", "failed": 0, "due_at": 0, "finished_at": None}
            change |= {"look_at": None, "looked_at": None, "exported_at": None}
            await db.execute(
                sa.update(jobs).where(jobs.c.id == job_id).values(**change, updated_at=now())
            )
            await _note(db, tenant, job_id, Happening.RETRY)
            found = await self._job(db, tenant, job_id)
            await note_act(db, Act("job.retry", job_id, "", tenant), actor)
            return found

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
        query = sa.select(history, sessions.c.worker_id).outerjoin(
            sessions, sessions.c.id == history.c.session_id
        )
        query = query.where(
            history.c.tenant_id == tenant, history.c.job_id == job_id, history.c.n > after
        )
        if index is not None:
            query = query.where(sa.or_(history.c.idx == index, history.c.idx.is_(None)))
        return await self._rows(query.order_by(history.c.n).limit(limit))

    async def last_worker(self, tenant: str, job_id: str, index: int) -> Row:
        """Whose session had the last lease of an account: session and worker, or None each."""
        query = sa.select(accounts.c.last_session, sessions.c.worker_id).outerjoin(
            sessions, sessions.c.id == accounts.c.last_session
        )
        return (await self._rows(query.where(*_one(tenant, job_id, index))))[0]

    async def _job(self, db: AsyncConnection, tenant: str, job_id: str) -> Row:
        query = sa.select(*_JOB).where(jobs.c.tenant_id == tenant, jobs.c.id == job_id)
        row = (await db.execute(query.where(~jobs.c.importing))).mappings().first()
        if row is None:
            raise NotFound(f"there is no job {job_id!r}; GET /api/jobs lists those there are")
        return dict(row)

    async def _locked(self, db: AsyncConnection, tenant: str, job_id: str) -> Row:
        query = sa.select(jobs.c.status).where(jobs.c.tenant_id == tenant, jobs.c.id == job_id)
        query = query.where(~jobs.c.importing).with_for_update()
        row = (await db.execute(query)).mappings().first()
        if row is None:
            raise NotFound(f"there is no job {job_id!r}; GET /api/jobs lists those there are")
        return dict(row)

    async def _rows(self, query: sa.Select[Any]) -> list[Row]:
        async with self._begin() as db:
            return [dict(row) for row in (await db.execute(query)).mappings()]

    def _begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return begin(self.engine)

    async def close(self) -> None:
        await self.engine.dispose()


_TOTALS = ("count", "created", "existing", "failed", "cancelled", "deleted", "retried")


def _one(tenant: str, job_id: str, index: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        accounts.c.tenant_id == tenant,
        accounts.c.job_id == job_id,
        accounts.c.idx == index,
    )


async def _note(db: AsyncConnection, tenant: str, job_id: str, what: Happening) -> None:
    values = {"tenant_id": tenant, "job_id": job_id, "what": what.value}
    await db.execute(sa.insert(history).values(**values, at=now()))
