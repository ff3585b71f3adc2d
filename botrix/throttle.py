"""How many calls at once a directory bears: additive increase, multiplicative decrease. Pure.

The limit is lowered where the directory asks for it (429, 503), and on trial where answers take
twice as long as when little was asked, and now and then anyway. A lowering on trial is judged by
what the directory got done: as much with fewer calls at once, and a yet lower limit is tried; less,
and it is undone, for then the directory has become slower and asking less does not help. Between
1.5 and 2 times as long the limit stays. (After Jacobson, "Congestion Avoidance and Control", 1988,
and Brakmo and Peterson, "TCP Vegas", 1995. That answers are no slower tells more than that none was
refused: 32 calls at once made one server four times slower than one at a time.)
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
_LOOK_AGAIN = 60
"""Decisions after which a lower limit is tried though nothing speaks for it."""
SHORTEST = 0.5
_LONGEST = 5.0
_STALE = 15.0
"""Seconds: the least and the most between two decisions, and what is too old for one."""


class Level(msgspec.Struct, frozen=True):
    """limit: calls at once, of all workers. base: seconds of an operation when little is asked.
    tried_from, tried_rate: the limit before a lowering on trial and the operations a second under
    it; 0 where there is none. steady: decisions since the last trial."""

    limit: int = FIRST
    base: float = 0.0
    doubling: bool = True
    tried_from: int = 0
    tried_rate: float = 0.0
    steady: int = 0
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


def is_enough(level: Level, seen: Observed, elapsed: float) -> bool:
    """Whether what was seen in so many seconds allows a decision."""
    if elapsed < SHORTEST or elapsed < 3 * seen.each:
        return seen.busy > 0 and elapsed >= SHORTEST
    return seen.busy > 0 or seen.operations >= max(4, 2 * level.limit) or elapsed >= _LONGEST


def decide(level: Level, seen: Observed, elapsed: float, most: int) -> Level:
    """The next level. most: what the operator allows."""
    if seen.busy:
        lower = max(1, min(level.limit, most) // 2)
        reason = "the directory asked to be asked less"
        return replace(level, limit=lower, doubling=False, tried_from=0, steady=0, reason=reason)
    if not seen.operations:
        return level
    rate = seen.operations / elapsed
    if level.tried_from:
        return _judged(level, seen, rate)
    base = min(level.base or seen.each, seen.each)
    level = replace(level, base=base, steady=level.steady + 1)
    if not seen.saturated:
        return level
    times = seen.each / base if base else 1.0
    if level.limit > 1 and (times > _SLOW or level.steady >= _LOOK_AGAIN):
        why = f"answers take {times:.1f} times as long" if times > _SLOW else "trying with less"
        return _tried(level, level.limit, rate, why)
    if times > _FULL:
        reason = f"answers take {times:.1f} times as long: more would only wait"
        return replace(level, doubling=False, reason=reason)
    if level.limit >= most:
        return replace(level, limit=most, doubling=False, reason="as much as the operator allows")
    limit = level.limit * 2 if level.doubling else level.limit + 1
    return replace(level, limit=min(most, limit), reason="answers take no longer: asking more")


def _tried(level: Level, limit: int, rate: float, why: str) -> Level:
    lower = max(1, int(limit * _LESS))
    return replace(
        level, limit=lower, doubling=False, tried_from=limit, tried_rate=rate, steady=0, reason=why
    )


def _judged(level: Level, seen: Observed, rate: float) -> Level:
    before = level.tried_from
    ended = replace(level, tried_from=0, tried_rate=0.0)
    if not seen.saturated:
        return replace(ended, limit=before)
    if rate < level.tried_rate * _AS_MUCH:
        reason = f"with less, less was done: back to {before}"
        return replace(ended, limit=before, base=seen.each, reason=reason)
    if level.limit == 1:
        return replace(ended, base=seen.each, reason="with one at a time, as much is done")
    return _tried(level, level.limit, rate, f"with {level.limit} at once, as much is done")


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
