"""Templates of rosters, kept by name for each tenant."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Act, Actor
from botrix.errors import InvalidInput, NotFound
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin, now
from botrix.ledger.tables import templates

Row = dict[str, Any]
MOST = 1000
"""Of one tenant."""


class Templates:
    """All raise LedgerDown where the database does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def put(self, tenant: str, name: str, body: str, actor: Actor) -> None:
        """In place of an earlier one of the name. Raises InvalidInput where there are too many."""
        async with self._begin() as db:
            mine = sa.select(sa.func.count()).where(
                templates.c.tenant_id == tenant, templates.c.name != name
            )
            if (await db.execute(mine)).scalar_one() >= MOST:
                raise InvalidInput(f"there are {MOST} templates already; remove one")
            insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
            made = insert(templates).values(
                tenant_id=tenant, name=name, body=body, created_at=now(), updated_at=now()
            )
            changed = {"body": made.excluded.body, "updated_at": made.excluded.updated_at}
            key = [templates.c.tenant_id, templates.c.name]
            await db.execute(made.on_conflict_do_update(index_elements=key, set_=changed))
            await note_act(db, Act("template.set", name, "", tenant), actor)

    async def get(self, tenant: str, name: str) -> Row:
        """Raises NotFound."""
        mine = (templates.c.tenant_id == tenant, templates.c.name == name)
        async with self._begin() as db:
            row = (await db.execute(sa.select(templates).where(*mine))).mappings().first()
        if row is None:
            raise _missing(name)
        return dict(row)

    async def shown(self, tenant: str) -> list[Row]:
        """All of the tenant, by name."""
        query = sa.select(templates).where(templates.c.tenant_id == tenant)
        async with self._begin() as db:
            rows = await db.execute(query.order_by(templates.c.name))
            return [dict(row) for row in rows.mappings()]

    async def remove(self, tenant: str, name: str, actor: Actor) -> None:
        """Jobs that were read by it stay as they are. Raises NotFound."""
        gone = sa.delete(templates).where(templates.c.tenant_id == tenant, templates.c.name == name)
        async with self._begin() as db:
            if (await db.execute(gone)).rowcount == 0:
                raise _missing(name)
            await note_act(db, Act("template.remove", name, "", tenant), actor)

    def _begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return begin(self._engine)


def _missing(name: str) -> NotFound:
    return NotFound(f"there is no template {name[:64]!a}; see: botrix template list")
