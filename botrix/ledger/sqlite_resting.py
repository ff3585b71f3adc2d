"""Checkpoints of SQLite's log while nobody asks for anything.

Left to itself, SQLite makes one at the end of whichever commit fills the log: once in a few dozen
jobs one waits some milliseconds longer, for others' pages. Under load that goes on as it was.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable

from botrix.errors import LedgerError

_REST = 0.03
"""Seconds without a commit. Those of one job, with its record, come closer to each other."""
_WORTH = 25
"""Commits."""


class Resting:
    """make: makes one, by the ledger's thread."""

    def __init__(self, make: Callable[[], Awaitable[object]]) -> None:
        self._make = make
        self._owed = 0
        self._timer: asyncio.TimerHandle | None = None
        self._making: asyncio.Task[None] | None = None

    def wrote(self) -> None:
        """Something was committed."""
        self._owed += 1
        if self._timer is not None:
            self._timer.cancel()
        if self._owed >= _WORTH:
            self._timer = asyncio.get_running_loop().call_later(_REST, self._begin)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._making is not None:
            await self._making

    def _begin(self) -> None:
        self._owed = 0
        self._making = asyncio.get_running_loop().create_task(self._made())

    async def _made(self) -> None:
        try:
            await self._make()
        except LedgerError:  # the next commit will tell, or make it
            return


def checkpoint(db: sqlite3.Connection) -> None:
    """As far as it keeps nobody waiting."""
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
