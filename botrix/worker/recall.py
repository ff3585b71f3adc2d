"""Hands back what nobody began of jobs that take nothing more: somebody paused or cancelled them,
or they wait for a person. At a slow directory a worker holds accounts for minutes before it begins
them, and who says stop means at once.
"""

from __future__ import annotations

from botrix.ledger.ledger import Ledger
from botrix.worker.desk import Desk


class Recall:
    """interval in seconds. What is held for a shorter time is not asked about, so that a worker at
    full speed asks nothing."""

    name = "recall"

    def __init__(self, ledger: Ledger, desk: Desk, interval: float) -> None:
        self.interval = interval
        self._ledger = ledger
        self._desk = desk

    async def tick(self) -> bool:
        waiting = self._desk.waiting_for(self.interval)
        if waiting:
            self._desk.hand_back_waiting_of(await self._ledger.halted(waiting))
        return False
