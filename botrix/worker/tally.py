"""Sums up, now and then, what was noted of jobs for the statistics; all workers, side by side."""

from __future__ import annotations

from botrix.ledger.ledger import Ledger

_BATCH = 10_000


class Tally:
    """So that who reads them has few rows to add."""

    name = "tally"
    interval = 15.0

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def tick(self) -> bool:
        return await self._ledger.sum_up(_BATCH)
