"""How sure this worker may still be of its session, and whether its event loop keeps up.

A beat that was not confirmed for 70 % of the lease stops new calls to directories; at 90 % the
session ends itself (SessionLost), which cancels those under way: peers may soon declare it lost,
and its accounts be given to another. As long as none of it happens, the service manager hears that
this worker lives.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from botrix.errors import SessionLost
from botrix.notify import Notifier
from botrix.worker.desk import Desk
from botrix.worker.pulse import Pulse

_log = logging.getLogger(__name__)


class Watch:
    """lease in seconds. Looks twenty times in one lease, more often where the manager wants it."""

    name = "watch"

    def __init__(
        self,
        pulse: Pulse,
        desk: Desk,
        lease: float,
        notifier: Notifier,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval = min(lease / 20, notifier.interval)
        self._notifier = notifier
        self._pulse = pulse
        self._desk = desk
        self._lease = lease
        self._clock = clock
        self._last = clock()
        desk.sure = self.sure

    def sure(self) -> bool:
        """Whether this worker may call directories: looked at just before each call as well, since
        a process that stood still runs on before its next tick."""
        return self._clock() - self._pulse.confirmed < 0.7 * self._lease

    async def tick(self) -> bool:
        now = self._clock()
        lag, self._last = now - self._last - self.interval, now
        if lag > self._lease / 10:
            _log.warning(
                "the event loop was busy for %.1f s; lower BOTRIX_CAPACITY or give it more CPU", lag
            )
        unconfirmed = now - self._pulse.confirmed
        if unconfirmed >= 0.9 * self._lease:
            raise SessionLost("the ledger did not confirm a beat in time")
        self._notifier.alive()
        if self.sure():
            self._desk.resume()
        else:
            self._desk.pause()
        return False
