"""Tells the log of jobs that ended: of the first ones of each second, and how many more there were,
for a worker may end thousands.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from botrix.model import JobState, Result

_log = logging.getLogger(__name__)
_MOST = 10


class Ended:
    """clock: in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0
        self._told = 0
        self._more = 0

    def tell(self, job: JobState, by: Sequence[Result] = ()) -> None:
        """Of one that is final. by: what ended it, and what else there was."""
        now = self._clock()
        if now >= self._until:
            if self._more:
                _log.info("%d more jobs ended", self._more)
            self._until, self._told, self._more = now + 1.0, 0, 0
        if self._told == _MOST:
            self._more += 1
            return
        self._told += 1
        more: dict[str, object] = {"job": job.id, "directory": job.directory, "count": job.count}
        traceparent = next((one.traceparent for one in by if one.job_id == job.id), None)
        if traceparent is not None:
            more["trace_id"] = traceparent[3:35]
        _log.info("job %s: %s", job.status, summary(job), extra=more)


def summary(job: JobState) -> str:
    """What became of its accounts."""
    counts = {name: n for name, n in job.counts().items() if n and name != "count"}
    return ", ".join(f"{n} {name}" for name, n in counts.items()) or "no account"
