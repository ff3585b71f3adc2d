"""How far a job is, how fast, and how long that will take. Pure."""

from __future__ import annotations

from collections import deque
from typing import Any

_ENDED = ("created", "existing", "failed", "cancelled", "deleted")
_SHOWN = {
    "create": ("created", "existing", "failed", "cancelled"),
    "remove": ("deleted", "failed", "cancelled"),
}
_LOOKED = {"create": "to create", "adopt": "existing", "conflict": "conflicts"}
_WINDOW = 10.0
"""Seconds of which the rate is told."""


def parts(job: dict[str, Any]) -> dict[str, int]:
    """What became of its accounts so far: always the same words for what it does, in one order."""
    if job.get("stage") in ("plan", "check"):
        plan = job.get("plan") or {}
        looked = {word: int(plan.get(name, 0)) for name, word in _LOOKED.items()}
        return {**looked, "failed": job["failed"], "cancelled": job["cancelled"]}
    usual = _SHOWN.get(job.get("stage") or "create", _ENDED)
    return {name: job[name] for name in _ENDED if name in usual or job[name]}


class Meter:
    """Of something that goes up. Times are of one clock, in seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, at: float, done: int) -> None:
        """Where it is less than before, it has begun anew."""
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((at, done))
        while len(self._seen) > 2 and self._seen[1][0] <= at - _WINDOW:
            self._seen.popleft()

    @property
    def rate(self) -> float | None:
        """A second; None while there is too little to tell."""
        if not self._seen:
            return None
        (since, before), (at, done) = self._seen[0], self._seen[-1]
        return (done - before) / (at - since) if at - since >= 0.9 else None

    def left(self, total: int) -> float | None:
        """Seconds, at this rate."""
        rate = self.rate
        return (total - self._seen[-1][1]) / rate if rate else None


def clocked(seconds: float | None) -> str:
    """As 0:09 or 1:02:03."""
    if seconds is None or seconds > 359_999:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def per_second(rate: float | None) -> str:
    """As 412/s."""
    if rate is None:
        return "-/s"
    return f"{rate:,.0f}/s" if rate >= 10 or rate == 0 else f"{rate:.1f}/s"
