"""What an operator decides about tenants: that there is one, and its quotas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Act, Actor
from botrix.errors import Conflict, InvalidInput, NotFound
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin, now
from botrix.ledger.tables import tenants

QUOTAS = (
    "open_jobs", "accounts_per_job", "accounts_per_day", "requests_per_minute", "password_days",
    "retention_days",
)  # fmt: skip
"""Columns that hold a number, or NULL for none."""
Quotas = Mapping[str, int | None]
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_SHOWN = [tenants.c[name] for name in ("id", *QUOTAS, "created_at")]


class Tenants:
    """All raise LedgerDown where the database does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create(self, name: str, quotas: Quotas, actor: Actor) -> None:
        """Raises InvalidInput for what is no id, Conflict where there is one of the name."""
        if not _ID.fullmatch(name):
            raise InvalidInput(
                f"{name!r} is no name of a tenant; take up to 40 small letters, digits and hyphens"
            )
        try:
            async with self._begin() as db:
                values = {"id": name, "created_at": now(), **quotas}
                await db.execute(sa.insert(tenants).values(**values))
                await note_act(db, Act("tenant.create", name, _told(quotas), name), actor)
        except sa.exc.IntegrityError:
            raise Conflict(f"there is a tenant {name!r} already; choose another name") from None

    async def set(self, name: str, quotas: Quotas, actor: Actor) -> None:
        """Those that are given; the others stay. Raises NotFound."""
        async with self._begin() as db:
            mine = sa.update(tenants).where(tenants.c.id == name)
            if (await db.execute(mine.values(**quotas))).rowcount != 1:
                raise NotFound(f"there is no tenant {name!r}; see: botrix tenant list")
            await note_act(db, Act("tenant.set", name, _told(quotas), name), actor)

    async def shown(self) -> list[dict[str, Any]]:
        async with self._begin() as db:
            rows = await db.execute(sa.select(*_SHOWN).order_by(tenants.c.id))
            return [dict(row) for row in rows.mappings()]

    def _begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return begin(self._engine)


def _told(quotas: Quotas) -> str:
    return ", ".join(f"{name} {'none' if n is None else n}" for name, n in quotas.items())
