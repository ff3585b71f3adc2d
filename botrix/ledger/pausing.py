"""Directories that somebody pauses: the breaker leaves them as they are until they are resumed.

The pause stands where the breaker's own does, in the directory's row of `throttles`, so that claims
hold its jobs and workers hand back what nobody began, all of it uncounted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Act, Actor
from botrix.errors import Conflict, NotFound
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin, now
from botrix.ledger.governing import Governed, paused_by, resumed
from botrix.ledger.idempotency import first_use
from botrix.ledger.tables import accounts, directories, jobs, throttles
from botrix.states import DirectoryStatus

_Change = Callable[[Governed, float], Governed]


class Pausing:
    """Each raises NotFound where the tenant has no such directory."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def pause(
        self, tenant: str, name: str, why: str, actor: Actor, key: str | None = None
    ) -> None:
        """Also one that is paused already, which is then no longer probed."""

        def change(row: Governed, at: float) -> Governed:
            return paused_by(row, actor.who, why, at)

        mark = f"pause:{name}:{hashlib.sha256(why.encode()).hexdigest()}"
        act = Act("directory.pause", name, why, tenant)
        await self._do(act, actor, key, mark, change)

    async def resume(self, tenant: str, name: str, actor: Actor, key: str | None = None) -> str:
        """Whoever or whatever paused it; its status from now on. Raises Conflict where it is not
        paused."""

        def change(row: Governed, at: float) -> Governed:
            if row.mood.status is not DirectoryStatus.PAUSED:
                raise Conflict(
                    f"directory {name} is {row.mood.status}, so there is nothing to resume"
                )
            return resumed(row, at)

        act = Act("directory.resume", name, "", tenant)
        return await self._do(act, actor, key, f"resume:{name}", change)

    async def leased(self, tenant: str, name: str) -> int:
        """How many of its accounts workers hold."""
        query = sa.select(sa.func.count()).select_from(accounts)
        query = query.join(jobs, jobs.c.id == accounts.c.job_id).where(
            accounts.c.session_id.is_not(None), jobs.c.tenant_id == tenant, jobs.c.directory == name
        )
        async with begin(self._engine) as db:
            return int((await db.execute(query)).scalar_one())

    async def _do(self, act: Act, actor: Actor, key: str | None, mark: str, to: _Change) -> str:
        tenant, name = act.tenant_id, act.object
        async with begin(self._engine) as db:
            row, at = await _locked(db, tenant, name)
            if not await first_use(db, tenant, key, mark, name):
                return row.mood.status
            row = to(row, at)
            await _save(db, tenant, name, row)
            await note_act(db, act, actor)
            return row.mood.status


async def _locked(db: AsyncConnection, tenant: str, name: str) -> tuple[Governed, float]:
    """Its row, and the time; what was never used has none yet."""
    known = sa.select(1).where(directories.c.tenant_id == tenant, directories.c.name == name)
    if (await db.execute(known)).first() is None:
        raise NotFound(f"there is no directory {name!r}; see: botrix directory list")
    insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    new = insert(throttles).values(tenant_id=tenant, name=name).on_conflict_do_nothing()
    await db.execute(new)
    query = sa.select(throttles.c.state, now()).where(*_row(tenant, name)).with_for_update()
    state, at = (await db.execute(query)).one()
    return msgspec.json.decode(state, type=Governed), at


async def _save(db: AsyncConnection, tenant: str, name: str, row: Governed) -> None:
    values = {"status": row.mood.status.value, "probe_at": row.mood.probe_at}
    query = sa.update(throttles).where(*_row(tenant, name))
    await db.execute(query.values(**values, state=msgspec.json.encode(row).decode()))


def _row(tenant: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return throttles.c.tenant_id == tenant, throttles.c.name == name
