"""How many calls at once a directory bears: additive increase, multiplicative decrease. Pure.

Each change is on trial, and judged by what the directory gets done: with more calls at once it must
be more, with fewer as much; else it is undone. More is tried while answers take no longer than half
as long again as when little was asked, doubling at first, then by an eighth; after a trial in vain
there is a rest. Less is tried where answers take twice as long, and now and then anyway. Where the
directory asks to be asked less (429, 503) the limit is halved. (After Jacobson, "Congestion
Avoidance and Control", 1988, and Brakmo and Peterson, "TCP Vegas", 1995. Latency and yield tell
more than refusals: 32 calls at once made one server four times slower than one at a time.)
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

FIRST = 2
_SLOW = 2.0
_FULL = 1.5
_LESS = 0.7
_AS_MUCH = 0.95
_WORTH = 0.05
_LEAST = 0.03
"""The part of what more calls could bring at best that they must bring, and what at least."""
_REST = 10
_LOOK_AGAIN = 60
"""Decisions after which more, or less, is tried once more though nothing speaks for it."""
_SHORTEST = 0.5
_SHORTEST_DOUBLING = 0.1
_LONGEST = 5.0
_STALE = 15.0
"""Seconds: the least and the most between two decisions, and what is too old for one."""


class Level(msgspec.Struct, frozen=True):
    """limit: calls at once, of all workers. base: seconds of an operation when little is asked.
    tried_from, tried_rate: the limit before what is on trial, and the operations a second under
    it; 0 where nothing is. steady: decisions since the last trial of less; rest: so many until
    more is tried."""

    limit: int = FIRST
    base: float = 0.0
    doubling: bool = True
    tried_from: int = 0
    tried_rate: float = 0.0
    steady: int = 0
    rest: int = 0
    reason: str = "beginning with little"


class Observed(msgspec.Struct):
    """Of all workers since the last decision: operations that were answered, the seconds that they
    took together, how often the directory asked to be asked less, and whether the limit was
    reached."""

    operations: int = 0
    seconds: float = 0.0
    busy: int = 0
    saturated: bool = False

    def add(self, other: Observed) -> None:
        self.operations += other.operations
        self.seconds += other.seconds
        self.busy += other.busy
        self.saturated = self.saturated or other.saturated

    @property
    def each(self) -> float:
        return self.seconds / self.operations if self.operations else 0.0


def is_stale(elapsed: float) -> bool:
    """Whether what was seen in so many seconds tells nothing: there was a time without work."""
    return elapsed > _STALE


def shortest(level: Level) -> float:
    """Seconds between two decisions at least: little while the limit doubles, for a job of some
    hundred accounts would else be over before it is found."""
    return _SHORTEST_DOUBLING if level.doubling else _SHORTEST


def is_enough(level: Level, seen: Observed, elapsed: float) -> bool:
    """Whether what was seen in so many seconds allows a decision."""
    least = shortest(level)
    if elapsed < least or elapsed < 3 * seen.each:
        return seen.busy > 0 and elapsed >= least
    return seen.busy > 0 or seen.operations >= max(4, 2 * level.limit) or elapsed >= _LONGEST


def decide(level: Level, seen: Observed, elapsed: float, most: int) -> Level:
    """The next level. most: what the operator allows."""
    if seen.busy:
        return _halved(level, most)
    if not seen.operations:
        return level
    if not seen.saturated:  # nothing can be told, and nothing is to be had
        return replace(level, limit=level.tried_from or level.limit, tried_from=0)
    rate = seen.operations / elapsed
    if level.tried_from > level.limit:
        return _judged_less(level, seen, rate)
    if level.tried_from and rate < level.tried_rate * (1 + max(_LEAST, _WORTH * _gain(level))):
        reason = f"more than {level.tried_from} at once bring nothing"
        return replace(
            level, limit=level.tried_from, tried_from=0, doubling=False, rest=_REST, reason=reason
        )
    return _next(replace(level, tried_from=0), seen, rate, most)


def _next(level: Level, seen: Observed, rate: float, most: int) -> Level:
    base = min(level.base or seen.each, seen.each)
    level = replace(level, base=base, steady=level.steady + 1, rest=max(0, level.rest - 1))
    times = seen.each / base if base else 1.0
    if level.limit > 1 and times > _SLOW:
        return _less(level, rate, f"answers take {times:.1f} times as long: trying with less")
    if level.limit > 1 and level.steady >= _LOOK_AGAIN:
        return _less(level, rate, "trying whether less is as good")
    if times > _FULL or level.limit >= most:
        reason = f"answers take {times:.1f} times as long: more would only wait"
        if level.limit >= most:
            reason = "as much as the operator allows"
        return replace(level, limit=min(level.limit, most), doubling=False, reason=reason)
    if level.rest:
        return level
    more = level.limit * 2 if level.doubling else level.limit + max(1, level.limit // 8)
    reason = "answers take no longer: trying with more"
    return replace(
        level, limit=min(most, more), tried_from=level.limit, tried_rate=rate, reason=reason
    )


def _halved(level: Level, most: int) -> Level:
    lower = max(1, min(level.limit, most) // 2)
    reason = "the directory asked to be asked less"
    return replace(
        level, limit=lower, doubling=False, tried_from=0, steady=0, rest=0, reason=reason
    )


def _less(level: Level, rate: float, why: str) -> Level:
    lower = max(1, int(level.limit * _LESS))
    return replace(
        level, limit=lower, doubling=False, tried_from=level.limit, tried_rate=rate, steady=0,
        reason=why,
    )  # fmt: skip


def _judged_less(level: Level, seen: Observed, rate: float) -> Level:
    before = level.tried_from
    level = replace(level, tried_from=0, base=seen.each, rest=_REST)
    if rate < level.tried_rate * _AS_MUCH:
        reason = f"fewer than {before} at once do less"
        return replace(level, limit=before, reason=reason)
    reason = f"with {level.limit} at once, as much is done as with {before}"
    if level.limit == 1:
        return replace(level, reason=reason)
    return _less(level, rate, reason)


def _gain(level: Level) -> float:
    return level.limit / level.tried_from - 1


def share_out(total: int, wanted: Mapping[str, int], turn: int) -> dict[str, int]:
    """How many of `total` calls at once each may make of those who want some: nobody more than he
    wants, and as equal as can be. Where there are more who want than calls, each `turn` others have
    them."""
    shares = dict.fromkeys(wanted, 0)
    left = min(total, sum(wanted.values()))
    names = sorted(wanted)
    first = turn % len(names) if names else 0
    queue = [name for name in names[first:] + names[:first] if wanted[name] > 0]
    while left and queue:
        each = max(1, left // len(queue))
        for name in list(queue):
            given = min(each, wanted[name] - shares[name], left)
            shares[name] += given
            left -= given
            if shares[name] >= wanted[name]:
                queue.remove(name)
    return shares
