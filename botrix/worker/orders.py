"""What an operator wants of this worker: to work, to be quiet (take nothing more, and stay), or to
drain (likewise, and end once nothing is held). The ledger tells it with each beat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from botrix.states import Duty
from botrix.worker.desk import Desk

_STATUS = {Duty.WORK: "running", Duty.QUIET: "quiet", Duty.DRAIN: "draining"}


async def _nobody() -> bool:
    return False


class Orders:
    """claims: the lock of the session's claims. tell: lets everybody know at once what changed."""

    name = "orders"
    interval = 0.0

    def __init__(self, desk: Desk, claims: asyncio.Lock, duty: Duty) -> None:
        self.duty = Duty.WORK
        self.tell: Callable[[], Awaitable[bool]] = _nobody  # replaced by the session's heartbeat
        self._desk = desk
        self._claims = claims
        self._changed = asyncio.Event()
        self._draining = asyncio.Event()
        self.hear(duty)

    @property
    def status(self) -> str:
        """For people."""
        return _STATUS[self.duty]

    def hear(self, duty: Duty) -> None:
        """What counts from now on; a claim that is under way is still given its accounts."""
        if duty is self.duty:
            return
        self.duty = duty
        if duty is Duty.WORK:
            self._desk.take_again()
        else:
            self._desk.take_no_more()
        if duty is Duty.DRAIN:
            self._draining.set()
        else:
            self._draining.clear()
        self._changed.set()

    async def tick(self) -> bool:
        """Once for each change."""
        await self._changed.wait()
        self._changed.clear()
        await self.tell()
        return False

    async def drained(self) -> None:
        """Returns once it is to drain, and nothing is held or being claimed."""
        while True:
            await self._draining.wait()
            await self._desk.emptied()
            async with self._claims:
                if self._draining.is_set() and not self._desk.held():
                    return
