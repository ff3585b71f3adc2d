"""Watches the beats of the other sessions: who stands still for one lease is dead."""

from __future__ import annotations

import time
from collections.abc import Callable

from botrix.errors import LedgerDown
from botrix.ledger.ledger import Ledger


class Peers:
    """Marks a peer lost whose beat stood still for one lease by this process's own clock.

    A ledger error, or a late tick of its own, restarts the watch: else an outage would kill all.
    """

    name = "peers"

    def __init__(
        self,
        session: str,
        ledger: Ledger,
        lease: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval = lease / 10
        self._session = session
        self._ledger = ledger
        self._lease = lease
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}
        self._last = clock()

    async def tick(self) -> bool:
        now = self._clock()
        if now - self._last > self._lease / 2:
            self._seen.clear()
        self._last = now
        try:
            peers = await self._ledger.peers()
        except LedgerDown:
            self._seen.clear()
            raise
        watched = {peer.id: peer.beat for peer in peers if peer.id != self._session}
        self._seen = {
            ident: self._seen[ident] if self._seen.get(ident, (None,))[0] == beat else (beat, now)
            for ident, beat in watched.items()
        }
        for ident, (beat, since) in list(self._seen.items()):
            if now - since >= self._lease:
                await self._ledger.mark_lost(ident, beat)
        return False
