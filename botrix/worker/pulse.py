"""The session's beat: one statement raises it, whatever the session holds, and brings back what is
wanted of this worker. `watch.py` draws the
conclusions where it is not confirmed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from botrix.errors import LedgerDown
from botrix.ledger.ledger import Ledger
from botrix.states import Duty


class Pulse:
    """beat and lease in seconds; `confirmed` is the monotonic time of the last beat that was
    answered, as of when it was asked."""

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
        self.hear: Callable[[Duty], None] = lambda _: None  # replaced by the session's orders

    async def tick(self) -> bool:
        """Raises SessionLost where a peer was quicker."""
        asked = self._clock()
        try:
            wanted = await asyncio.wait_for(self._ledger.renew(self._session), self._lease)
        except TimeoutError:
            raise LedgerDown("the ledger did not answer a beat; it is tried again") from None
        self.confirmed = asked
        if wanted is not None:
            self.hear(wanted)
        return False
