"""How many requests a tenant may send in a minute, counted in the line for all API processes.

Minutes are those of each process's clock: where two clocks differ, what comes in between is counted
in the other minute. While the line is down each process counts for itself.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from botrix.errors import LineDown
from botrix.line.line import Line

_MINUTE = 60.0


class Rate:
    """One per process. clock: seconds since 1970."""

    def __init__(self, line: Line, clock: Callable[[], float] = time.time) -> None:
        self._line = line
        self._clock = clock
        self._minute = 0
        self._own: Counter[str] = Counter()

    async def allowed(self, tenant_id: str, limit: int | None) -> float | None:
        """Counts one request; None where it is allowed, else the seconds until one may be."""
        if limit is None:
            return None
        now = self._clock()
        minute = int(now // _MINUTE)
        if minute != self._minute:
            self._minute, self._own = minute, Counter()
        self._own[tenant_id] += 1
        counted = self._own[tenant_id]
        if counted <= limit:  # else there is no need to ask
            counted = await self._of_all(tenant_id, minute, counted)
        return None if counted <= limit else (minute + 1) * _MINUTE - now

    async def _of_all(self, tenant_id: str, minute: int, own: int) -> int:
        if not self._line.up:
            return own
        try:
            return await self._line.count_request(tenant_id, minute)
        except LineDown:
            return own
