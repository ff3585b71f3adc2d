"""When a delivery is tried again."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from botrix.ledger.posting import PATIENCE
from botrix.webhooks.schedule import DELAYS, MOST_PATIENCE, delay

_RNG = random.Random(1)


def test_it_is_tried_ten_times_in_three_days() -> None:
    delays = [delay(tries, None, _RNG) for tries in range(1, 11)]
    assert [d is None for d in delays] == [False] * 9 + [True]
    assert 3 * 86_400 < sum(DELAYS) < 1.2 * sum(DELAYS) < PATIENCE


@given(tries=st.integers(1, 9), asked=st.none() | st.floats(0, 1e9), seed=st.integers())
def test_no_delay_is_shorter_than_asked_nor_endless(
    tries: int, asked: float | None, seed: int
) -> None:
    found = delay(tries, asked, random.Random(seed))
    assert found is not None
    assert DELAYS[tries - 1] <= found <= max(1.2 * DELAYS[tries - 1], MOST_PATIENCE)
    assert found >= min(asked or 0, MOST_PATIENCE)
