"""One count of several, where now and then something else goes on at the same time."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence


def medians(seen: Sequence[Counter[str]]) -> dict[str, float]:
    """Of each count; one that was really seen."""
    return _each(seen, statistics.median_low)


def least(seen: Sequence[Counter[str]]) -> dict[str, float]:
    """Of each count: what goes on beside only adds to it."""
    return _each(seen, min)


def _each(seen: Sequence[Counter[str]], of: Callable[[Iterable[float]], float]) -> dict[str, float]:
    names = sorted(set().union(*seen))
    return {name: of([one[name] for one in seen]) for name in names}
