"""How the whole is, every 2 seconds: what waits in the lanes, the totals of a tenant, workers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from typing import Any

from botrix.api.hub import Hub
from botrix.api.ring import PULSE, Item
from botrix.api.wire import frame
from botrix.errors import LedgerDown, LineDown
from botrix.ledger.queries import Queries
from botrix.line.line import Line
from botrix.states import FINAL_ACCOUNT

_log = logging.getLogger(__name__)
_EVERY = 2.0
_KEPT = 450
_WANTED = 900.0
"""Seconds: as long as what is kept."""
_MOST_TENANTS = 100
Pulse = dict[str, Any]


class Pulses:
    """Takes them for each tenant of which somebody asked in the last 15 minutes, or listens."""

    def __init__(self, hub: Hub, queries: Queries, line: Line) -> None:
        self._hub = hub
        self._queries = queries
        self._line = line
        self._wanted: dict[str, float] = {}
        self._kept: dict[str, deque[Pulse]] = {}
        self._task: asyncio.Task[None] | None = None

    def want(self, tenant: str) -> None:
        self._wanted.pop(tenant, None)
        self._wanted[tenant] = time.monotonic()  # the last one asked for is the last one dropped
        if len(self._wanted) > _MOST_TENANTS:
            self._forget(next(iter(self._wanted)))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="pulse")

    async def of(self, tenant: str) -> list[Pulse]:
        self.want(tenant)
        if tenant not in self._kept:
            await self._take([tenant])
        return list(self._kept.get(tenant, ()))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._wanted:
            try:
                await self._beat()
            except Exception:
                _log.exception("no pulse could be taken; tried again")
            await asyncio.sleep(_EVERY)

    async def _beat(self) -> None:
        listening, now = set(self._hub.tenants), time.monotonic()
        for tenant, at in list(self._wanted.items()):
            if tenant not in listening and now > at + _WANTED:
                self._forget(tenant)
        taken = await self._take(list(self._wanted))
        self._hub.add(
            [Item("", one, PULSE, frame("pulse", taken[one])) for one in taken if one in listening]
        )

    async def _take(self, tenants: list[str]) -> dict[str, Pulse]:
        """Nothing, where the ledger does not answer."""
        taken: dict[str, Pulse] = {}
        lanes = await self._lanes()
        with suppress(LedgerDown):
            workers = sum((await self._queries.live_workers()).values())
            for tenant in tenants:
                stats = await self._queries.job_stats(tenant)
                accounts = {str(name): stats["accounts"][name] for name in FINAL_ACCOUNT}
                told = {"at": round(time.time(), 3), "lanes": lanes, "accounts": accounts}
                taken[tenant] = {**told, "jobs": stats["jobs"], "workers": workers}
                self._kept.setdefault(tenant, deque(maxlen=_KEPT)).append(taken[tenant])
        return taken

    async def _lanes(self) -> dict[str, int] | None:
        if self._line.up:
            with suppress(LineDown):
                return {lane.value: n for lane, n in (await self._line.depths()).items()}
        return None

    def _forget(self, tenant: str) -> None:
        self._wanted.pop(tenant, None)
        self._kept.pop(tenant, None)
