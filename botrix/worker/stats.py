"""What a worker counts for its heartbeat: jobs that it finished, and what became of the accounts it
worked on. What `/metrics` tells besides is in `measures`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from botrix.worker.measures import Measures


@dataclass(slots=True)
class Stats:
    """Jobs count where this worker recorded the result that made them final."""

    clock: Callable[[], float] = time.monotonic
    jobs_processed: int = 0
    jobs_succeeded: int = 0
    jobs_failed: int = 0
    accounts_created: int = 0
    accounts_failed: int = 0
    accounts_retried: int = 0
    measures: Measures = field(default_factory=Measures)
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def uptime(self) -> float:
        return self.clock() - self.started

    def summary(self) -> dict[str, object]:
        """The fields of the health key that count; rates are per second of uptime."""
        uptime = max(self.uptime(), 1e-9)
        return {
            "jobs_processed": self.jobs_processed,
            "jobs_succeeded": self.jobs_succeeded,
            "jobs_failed": self.jobs_failed,
            "accounts_created": self.accounts_created,
            "accounts_failed": self.accounts_failed,
            "accounts_retried": self.accounts_retried,
            "accounts_per_second": round(self.accounts_created / uptime, 3),
            "jobs_per_second": round(self.jobs_processed / uptime, 3),
            "uptime_seconds": round(self.uptime(), 3),
        }
