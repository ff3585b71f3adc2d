"""What the ledger says of a tenant's jobs, for those who missed their events: asked once for all
who ask at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from botrix.api.ring import Item
from botrix.api.wire import MANY, gap, item_of_row
from botrix.errors import LedgerDown
from botrix.ledger.engine import to_its_end
from botrix.ledger.moved import moved

MOST = 1000
"""Jobs; where there are more, lists are to be read anew."""
_SHARED = 1.0
_REMINDER = 10.0


@dataclass(frozen=True, slots=True)
class Found:
    """whole: these are all."""

    items: Sequence[Item]
    whole: bool


class Known:
    """All times are seconds."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._asked: dict[str, tuple[float, float, asyncio.Task[Found]]] = {}
        self._told: dict[str, dict[str, bytes]] = {}
        self._reminded: dict[str, float] = {}

    async def since(self, tenant: str, since: float) -> Found:
        """Those that are open, or ended since then."""
        now = time.monotonic()
        self._asked = {t: one for t, one in self._asked.items() if now <= one[0] + _SHARED}
        _, reaching, task = self._asked.get(tenant, (0.0, 0.0, None))
        if task is None or since < reaching:
            task = asyncio.create_task(self._ask(tenant, since))
            self._asked[tenant] = (now, since, task)
        return await asyncio.shield(task)

    async def news(self, tenant: str, since: float) -> list[Item]:
        """What is other than it was when this was asked last."""
        found = await self._ask(tenant, since)
        told = self._told.get(tenant, {})
        self._told[tenant] = {one.key: one.frame for one in found.items}
        news = [one for one in found.items if told.get(one.key) != one.frame]
        now = time.monotonic()
        if not found.whole and now >= self._reminded.get(tenant, 0.0) + _REMINDER:
            self._reminded[tenant] = now
            news.append(Item("", tenant, "", gap(MANY, whole=False)))
        return news

    def forget(self, but: Collection[str] = ()) -> None:
        """What was told to whom."""
        self._told = {tenant: told for tenant, told in self._told.items() if tenant in but}
        self._reminded = {tenant: at for tenant, at in self._reminded.items() if tenant in but}

    async def _ask(self, tenant: str, since: float) -> Found:
        try:
            rows, whole = await to_its_end(moved(self._engine, tenant, since, MOST))
        except LedgerDown:
            return Found([], False)
        return Found([item_of_row(row) for row in rows[:MOST]], whole and len(rows) <= MOST)
