"""The session's beat: one statement raises it, whatever the session holds.

A beat unconfirmed at 90 % of the lease means that peers may soon declare the session lost: it ends
itself then (SessionLost), before another session can be given its accounts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from botrix.errors import LedgerDown, SessionLost
from botrix.ledger.ledger import Ledger


class Pulse:
    """beat and lease in seconds; `confirmed` is the monotonic time of the last answered beat."""

    name = "pulse"

    def __init__(
        self,
        session: str,
        ledger: Ledger,
        beat: float,
        lease: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval = beat
        self._session = session
        self._ledger = ledger
        self._lease = lease
        self._clock = clock
        self.confirmed = clock()

    async def tick(self) -> bool:
        asked = self._clock()
        left = self.confirmed + 0.9 * self._lease - asked
        try:
            await asyncio.wait_for(self._ledger.renew(self._session), max(0.1, left))
            self.confirmed = asked
        except (LedgerDown, TimeoutError) as error:
            if self._clock() - self.confirmed >= 0.9 * self._lease:
                raise SessionLost("the ledger did not confirm a beat in time") from None
            if isinstance(error, TimeoutError):
                raise LedgerDown("the ledger did not answer a beat") from None
            raise
        return False
