"""Erases passwords and purges jobs that were kept long enough: every few minutes, in small batches.

All workers do it, side by side. On SQLite traces stay, of what was revealed as well: in the log
until it is truncated, which is done afterwards, and once at first, for a keeper may have been
killed before; and in the gaps of few pages until the file is written anew, which is done once an
hour at most, while it is small.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

from botrix.ledger import keeping
from botrix.ledger.keeping import Keeping, Rule

_log = logging.getLogger(__name__)
_INTERVAL = 300.0
_HOUR = 3600.0


class Keeper:
    """A job of which younger passwords are left is looked at again after an hour."""

    name = "keeper"

    def __init__(
        self, ledger: Keeping, rule: Rule, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.interval = _INTERVAL
        self._ledger = ledger
        self._rule = rule
        self._clock = clock
        self._later: dict[str, float] = {}
        self._truncated = False
        self._traces = False
        self._anew_from = 0.0
        self._seen: dict[str, int] = {}

    async def tick(self) -> bool:
        done = await self._keep()
        if done:
            self._truncated, self._traces = False, True
            _log.info("erased what was kept long enough", extra=dict(done))
        while await self._ledger.forget_deliveries(keeping.BATCH):
            pass
        left, self._seen = await self._ledger.departed(self._seen)
        if left:
            self._truncated, self._traces = False, True
        if self._traces and self._clock() >= self._anew_from:
            self._truncated = await keeping.scrubbed(self._ledger, keeping.SMALL)
            self._traces = not self._truncated
            self._anew_from = self._clock() + _HOUR
        if not self._truncated:
            self._truncated = await keeping.scrubbed(self._ledger)
        return False

    async def _keep(self) -> Counter[str]:
        now, done = self._clock(), Counter[str]()
        self._later = {job: at for job, at in self._later.items() if at > now}
        async for step in keeping.purge(self._ledger, self._rule):
            done["purged_jobs"] += step.done
            done["purged_accounts"] += step.accounts
        async for step in keeping.erase(self._ledger, self._rule, self._later):
            done["erased_passwords"] += step.accounts
            if step.left:
                self._later[step.job_id] = now + _HOUR
        return +done
