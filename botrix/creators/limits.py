"""How much a directory may be asked, as its operator says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botrix.errors import DirectoryError

NAMES = frozenset({"concurrency", "rate"})
MOST = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """Of all workers together. most: calls at once, below which the limit finds its own level.
    rate: operations a second."""

    most: int = MOST
    rate: float | None = None


def read_limits(config: Mapping[str, Any]) -> Limits:
    """Raises DirectoryError, saying what to correct."""
    most, rate = config.get("concurrency", MOST), config.get("rate")
    if type(most) is not int or not 1 <= most <= 256:
        raise DirectoryError("`concurrency` must be a number from 1 to 256")
    if rate is None:
        return Limits(most)
    if type(rate) not in (int, float) or not 0 < rate <= 1_000_000:
        raise DirectoryError("`rate` must be a number of operations a second, above 0")
    return Limits(most, float(rate))
