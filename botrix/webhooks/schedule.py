"""When a delivery that failed is tried again, and when no more. Pure.

The delays are those of the example in Standard Webhooks 1.0.0, "Deliverability and reliability".
"""

from __future__ import annotations

import random

_MINUTE, _HOUR = 60.0, 3600.0
DELAYS = (
    5.0, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR,
    24 * _HOUR,
)  # fmt: skip
"""Seconds after the first failure, the second, …: together a little more than three days."""
MOST_PATIENCE = 24 * _HOUR
"""What a receiver may ask for by Retry-After."""
_JITTER = 0.2


def delay(tries: int, asked: float | None, rng: random.Random) -> float | None:
    """Seconds after so many failures; None: that was the last try. asked: by Retry-After. Jitter
    makes it longer, never shorter, since what failed together would come back together."""
    if tries > len(DELAYS):
        return None
    waited = DELAYS[tries - 1] * rng.uniform(1.0, 1.0 + _JITTER)
    return max(waited, min(asked or 0.0, MOST_PATIENCE))
