"""What an operator decides about tenants: that there is one, and its quotas. Cold, on both databases."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.errors import Conflict, InvalidInput, LedgerDown, NotFound
from botrix.ledger.engine import now
from botrix.ledger.tables import tenants

QUOTAS = (
    "open_jobs", "accounts_per_job", "accounts_per_day", "requests_per_minute", "password_days",
    "retention_days",
)  # fmt: skip
"""Columns that hold a number, or NULL for none."""
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_SHOWN = [tenants.c[name] for name in ("id", *QUOTAS, "created_at")]


class Tenants:
    """Both raise LedgerDown where the database does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create(self, name: str, quotas: Mapping[str, int | None]) -> None:
        """Raises InvalidInput for what is no id, Conflict where there is one of the name."""
        if not _ID.fullmatch(name):
            raise InvalidInput(
                f"{name!r} is no name of a tenant; take up to 40 small letters, digits and hyphens"
            )
        try:
            async with self._begin() as db:
                values = {"id": name, "created_at": now(), **quotas}
                await db.execute(sa.insert(tenants).values(**values))
        except sa.exc.IntegrityError:
            raise Conflict(f"there is a tenant {name!r} already; choose another name") from None

    async def set(self, name: str, quotas: Mapping[str, int | None]) -> None:
        """Those that are given; the others stay. Raises NotFound."""
        async with self._begin() as db:
            mine = sa.update(tenants).where(tenants.c.id == name)
            if (await db.execute(mine.values(**quotas))).rowcount != 1:
                raise NotFound(f"there is no tenant {name!r}; see: botrix tenant list")

    async def list(self) -> list[dict[str, Any]]:
        async with self._begin() as db:
            rows = await db.execute(sa.select(*_SHOWN).order_by(tenants.c.id))
            return [dict(row) for row in rows.mappings()]

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as db:
                yield db
        except (sa.exc.OperationalError, sa.exc.InterfaceError, OSError) as error:
            raise LedgerDown("the ledger does not answer; is it there? see: botrix doctor") from error
        except sa.exc.ProgrammingError as error:
            raise LedgerDown("the ledger is not migrated yet; run: botrix migrate") from error
