"""Accounts that may be what kills workers: one whose session was lost twice is claimed alone, by a
worker that holds nothing else, so that a third crash convicts it and none of its neighbours.

An idle worker takes it at once. A busy one waits a moment for an idle one, then claims no more,
hands back what nobody began, and finishes what is under way. After a lease of such accounts others
have their turn for a lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from botrix.ledger.ledger import Ledger
from botrix.worker.desk import Desk

_A_MOMENT = 2.0
_EMPTIED_WITHIN = 60.0
"""Seconds; longer than any call to a directory."""


class Solitary:
    """interval and lease in seconds. `shared` is the lock of the session's claims."""

    name = "solitary"

    def __init__(
        self,
        session: str,
        ledger: Ledger,
        desk: Desk,
        shared: asyncio.Lock,
        lease: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval = min(1.0, lease / 10)
        self._session = session
        self._ledger = ledger
        self._desk = desk
        self._shared = shared
        self._lease = lease
        self._clock = clock
        self._busy_from: float | None = None

    async def tick(self) -> bool:
        """One account after another, for a lease at most."""
        if self._desk.quiet:
            return False
        if not await self._ledger.suspects():
            self._busy_from = None
            return False
        if self._desk.held() and not self._busy_may():
            return False
        self._desk.reserve()
        try:
            ends = self._clock() + self._lease
            while not self._desk.quiet and await self._alone() and self._clock() < ends:
                pass
        finally:
            self._desk.open_again()
            self._busy_from = self._clock() + self._lease
        return False

    def _busy_may(self) -> bool:
        now = self._clock()
        if self._busy_from is None:
            self._busy_from = now + min(_A_MOMENT, self._lease)
        return now >= self._busy_from

    async def _alone(self) -> bool:
        """Nobody else of this session claims while the desk is reserved."""
        self._desk.hand_back_waiting()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EMPTIED_WITHIN):
                await self._desk.emptied()
        async with self._shared:
            account = None
            if not self._desk.held() and not self._desk.quiet:
                account = await self._ledger.claim_suspect(self._session)
            if account is None:
                return False
            self._desk.add([account])
        await self._desk.emptied()
        return True
