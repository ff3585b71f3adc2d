"""The limit of a directory finds its level: simulated servers whose speed is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botrix.throttle import Level, Observed, decide, is_enough, is_stale, share_out

Server = Callable[[int], float]
"""Seconds that one of n calls at once takes."""


_NEW = Level()


def wide(width: int, seconds: float = 0.05) -> Server:
    """It works on so many at once, and lets others wait."""
    return lambda n: seconds * max(1.0, n / width)


def thrashing(width: int, seconds: float = 0.05) -> Server:
    """It gets slower as a whole, the more it is asked beyond its width."""
    return lambda n: seconds * max(1.0, n / width) * (1 + 0.1 * max(0, n - width))


def run(server: Server, level: Level = _NEW, epochs: int = 100, most: int = 64) -> list[Level]:
    levels = []
    for _ in range(epochs):
        each = server(level.limit)
        n = max(1, round(level.limit / each))
        level = decide(level, Observed(n, n * each, saturated=True), 1.0, most)
        levels.append(level)
    return levels


def done(server: Server, levels: list[Level]) -> float:
    """Operations a second, on average."""
    return sum(level.limit / server(level.limit) for level in levels) / len(levels)


def best(server: Server) -> float:
    return max(n / server(n) for n in range(1, 65))


@pytest.mark.parametrize("server", [wide(1), wide(4), wide(32), wide(64), thrashing(1),
                                    thrashing(8), thrashing(32)])  # fmt: skip
def test_it_finds_the_level_where_as_much_as_can_be_is_done(server: Server) -> None:
    levels = run(server)
    assert done(server, levels[10:]) > 0.93 * best(server), levels


@pytest.mark.parametrize("make", [wide, thrashing])
@pytest.mark.parametrize("width", [4, 16])
def test_a_directory_that_halves_its_speed_is_not_overloaded(
    make: Callable[[int, float], Server], width: int
) -> None:
    fast, slow = make(width, 0.05), make(width, 0.1)
    levels = run(slow, run(fast)[-1])
    assert done(slow, levels) > 0.9 * best(slow), levels


@pytest.mark.parametrize("make", [wide, thrashing])
def test_a_directory_that_loses_half_its_width_is_not_overloaded(
    make: Callable[[int], Server],
) -> None:
    levels = run(make(8), run(make(16))[-1])
    assert done(make(8), levels) > 0.9 * best(make(8)), levels


def test_it_starts_with_little_and_asks_more_while_answers_take_no_longer() -> None:
    limits = [level.limit for level in run(wide(64), epochs=6)]
    assert limits[:5] == [4, 8, 16, 32, 64]


def test_asked_to_be_asked_less_it_halves_and_then_grows_slowly() -> None:
    level = run(wide(64), epochs=10)[-1]
    lower = decide(level, Observed(10, 0.5, busy=3, saturated=True), 1.0, 64)
    assert (level.limit, lower.limit, lower.doubling) == (64, 32, False)
    assert "asked to be asked less" in lower.reason
    assert run(wide(64), lower, epochs=1)[-1].limit == 36
    assert decide(Level(limit=1), Observed(busy=1), 1.0, 64).limit == 1


def test_without_enough_work_it_does_not_grow() -> None:
    assert decide(Level(), Observed(10, 0.1), 1.0, 64).limit == Level().limit


def test_the_operator_sets_the_most() -> None:
    assert max(level.limit for level in run(wide(64), most=5)) == 5


def test_when_there_is_enough_to_decide_on() -> None:
    assert not is_enough(Level(), Observed(1, 0.1), 1.0)
    assert is_enough(Level(), Observed(1, 0.1), 5.0)
    assert is_enough(Level(), Observed(busy=1), 0.5)
    assert not is_enough(Level(doubling=False), Observed(busy=1), 0.4)
    assert not is_enough(Level(doubling=False), Observed(100, 0.1), 0.4)
    assert is_enough(Level(), Observed(100, 0.1), 0.1)  # it is found soon
    assert not is_enough(Level(), Observed(9, 9.0), 2.0)  # most of it began before the last one
    assert is_stale(60.0)
    assert not is_stale(5.0)


@given(
    st.integers(0, 300),
    st.dictionaries(st.text(max_size=3), st.integers(0, 300), max_size=8),
    st.integers(0, 1000),
)
def test_shares(total: int, wanted: dict[str, int], turn: int) -> None:
    shares = share_out(total, wanted, turn)
    assert sum(shares.values()) == min(total, sum(wanted.values()))
    assert all(0 <= shares[name] <= wanted[name] for name in wanted)
    unsated = [shares[name] for name in wanted if shares[name] < wanted[name]]
    if unsated:
        assert max(shares.values()) <= max(unsated) + 1
        assert max(unsated) - min(unsated) <= 1


def test_where_there_are_fewer_calls_than_workers_all_have_their_turn() -> None:
    wanted = {"a": 9, "b": 9, "c": 9}
    turns = [share_out(1, wanted, turn) for turn in range(3)]
    assert [max(shares, key=shares.__getitem__) for shares in turns] == ["a", "b", "c"]
