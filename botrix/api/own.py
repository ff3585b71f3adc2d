"""What this process knows by itself: what it measures for `/metrics`, and what it saw lately."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from botrix import lag
from botrix.histogram import Histogram

_REMEMBERED = 60.0
_MOST = 1000


class Beats:
    """For how long sessions have not beaten: watched from one scrape to the next by this process's
    own clock, since no two machines' clocks are compared."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}

    def oldest(self, beats: Mapping[str, int]) -> float:
        """Seconds since the live session that has been silent longest was first seen at its beat;
        0 where there is none."""
        now = self._clock()
        self._seen = {
            session: self._seen[session]
            if self._seen.get(session, (None,))[0] == beat
            else (beat, now)
            for session, beat in beats.items()
        }
        return max((now - since for _, since in self._seen.values()), default=0.0)


class Lately:
    """What was seen in the last minute, at most `_MOST` of it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Hashable, float] = {}

    def __contains__(self, what: Hashable) -> bool:
        return self._clock() < self._seen.get(what, 0.0)

    def add(self, what: Hashable) -> None:
        if len(self._seen) >= _MOST:
            self._seen.clear()
        self._seen[what] = self._clock() + _REMEMBERED


@dataclass(frozen=True, slots=True)
class Own:
    """lag: of the event loop. directories: which there are, by tenant and name."""

    lag: Histogram = field(default_factory=lag.begun)
    beats: Beats = field(default_factory=Beats)
    directories: Lately = field(default_factory=Lately)
