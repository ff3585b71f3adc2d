"""The gate before a directory: how many go through, who is first, who waits, what is counted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botrix.creators.gate import LONGEST_PATIENCE, Answered, Gate
from tests.unit.skipping import clock, settled, skipping


def _gate(limit: int = 16, rate: float | None = None) -> Gate:
    return Gate(limit, rate, clock=clock)


class _Callers:
    """Tasks that call through a gate, and stay inside until they are let go."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: dict[str, asyncio.Event] = {}
        self.refused: dict[str, tuple[str, float | None]] = {}
        self.order: list[tuple[str, float]] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str, operations: int = 1) -> None:
        for name in names:
            self.tasks[name] = asyncio.create_task(self._call(name, operations))
        await settled()

    async def _call(self, name: str, operations: int) -> None:
        async with self.gate.call(operations) as call:
            if call.shut:
                self.refused[name] = (call.shut, call.after)
                return
            self.order.append((name, clock()))
            self.inside[name] = asyncio.Event()
            try:
                await self.inside[name].wait()
                call.ended(Answered.DONE)
            finally:
                del self.inside[name]

    async def go(self, *names: str) -> None:
        for name in names:
            self.inside[name].set()
        await settled()

    async def cancel(self, *names: str) -> None:
        for name in names:
            self.tasks[name].cancel()
        await settled()

    async def all_through(self) -> None:
        """Lets everybody through and out, as time goes by."""
        end = clock() + 500
        while not all(task.done() for task in self.tasks.values()):
            assert clock() < end, "somebody never gets through"
            await self.go(*self.inside)
            await asyncio.sleep(1 / 64)
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


@skipping
async def test_no_more_than_the_limit_are_inside() -> None:
    callers = _Callers(_gate(2))
    await callers.come("a", "b", "c", "d")
    assert (set(callers.inside), callers.gate.under_way, callers.gate.waiting) == ({"a", "b"}, 2, 2)
    await callers.go("b")
    assert set(callers.inside) == {"a", "c"}
    await callers.go("a", "c")
    assert set(callers.inside) == {"d"}
    await callers.go("d")
    assert (callers.gate.under_way, callers.gate.waiting) == (0, 0)


@skipping
async def test_who_came_first_is_first() -> None:
    """Also before one who comes back at once: room is not there for whoever runs first."""
    gate, order = _gate(1), []

    async def call(name: str, times: int) -> None:
        for _ in range(times):
            async with gate.call():
                order.append(name)
                await asyncio.sleep(1)

    await asyncio.gather(call("a", 3), call("b", 3), call("c", 1))
    assert order == ["a", "b", "c", "a", "b", "a", "b"]


@skipping
async def test_a_higher_limit_lets_in_at_once_and_a_lower_one_nobody() -> None:
    callers = _Callers(_gate(1))
    await callers.come(*"abcdef")
    callers.gate.set_limit(4)
    await settled()
    assert set(callers.inside) == set("abcd")
    callers.gate.set_limit(2)
    await callers.go("a", "b")
    assert (set(callers.inside), callers.gate.waiting) == (set("cd"), 2)
    await callers.go("c")
    assert set(callers.inside) == {"d", "e"}


@skipping
async def test_without_a_share_all_wait_and_it_is_asked_for() -> None:
    callers = _Callers(_gate(0))
    await callers.come("a")
    assert (callers.inside, callers.gate.alarm.is_set()) == ({}, True)
    callers.gate.set_limit(1)
    await settled()
    assert set(callers.inside) == {"a"}


@skipping
async def test_shut_tells_all_who_wait_and_who_comes() -> None:
    callers = _Callers(_gate(1, rate=0.1))
    await callers.come("inside", "waits for room")
    callers.gate.set_limit(2)
    await settled()  # and now for the rate
    await callers.come("waits for room")
    callers.gate.shut("it is paused")
    await callers.come("comes later")
    names = ("waits for room", "comes later")
    assert callers.refused == dict.fromkeys(names, ("it is paused", None))
    assert (set(callers.inside), callers.gate.waiting) == ({"inside"}, 0)
    assert clock() == 0.0
    await callers.go("inside")
    callers.gate.open()
    assert (callers.gate.is_shut, callers.gate.under_way) == (False, 0)


@skipping
async def test_who_had_room_and_did_not_run_yet_is_told_too() -> None:
    callers = _Callers(_gate(1))
    await callers.come("a", "b")
    callers.inside["a"].set()
    await asyncio.sleep(0)
    assert callers.gate.waiting == 0
    callers.gate.shut("it is paused")
    await settled()
    assert (set(callers.refused), callers.gate.under_way) == ({"b"}, 0)


@skipping
async def test_shut_and_opened_at_once_everybody_is_told_all_the_same() -> None:
    callers = _Callers(_gate(2, rate=0.1))
    await callers.come("inside", "waits for the rate", "waits for room")
    callers.gate.shut("it is paused")
    callers.gate.open()
    await settled()
    assert set(callers.refused) == {"waits for the rate", "waits for room"}
    assert callers.gate.under_way == 1


@skipping
async def test_a_hold_is_waited_for() -> None:
    callers = _Callers(_gate())
    callers.gate.hold(5)
    callers.gate.hold(3)  # a shorter one changes nothing
    await callers.come("a")
    await callers.all_through()
    assert callers.order == [("a", 5.0)]


@skipping
async def test_nobody_waits_for_long_with_an_account_in_hand() -> None:
    callers = _Callers(_gate(1))
    callers.gate.hold(LONGEST_PATIENCE + 30)
    await callers.come("a", "b")
    assert callers.refused["b"] == ("the directory asks for patience", LONGEST_PATIENCE + 30)
    assert callers.gate.under_way == 0
    await asyncio.sleep(30)
    await callers.come("c")
    await callers.all_through()
    assert callers.order == [("c", LONGEST_PATIENCE + 30)]


@skipping
async def test_a_hold_counts_for_those_who_wait_already() -> None:
    callers = _Callers(_gate())
    callers.gate.hold(5)
    await callers.come("a")
    callers.gate.hold(10)
    await callers.all_through()
    assert callers.order == [("a", 10.0)]
    callers.gate.hold(5)
    await callers.come("b")
    callers.gate.hold(100)
    await callers.all_through()
    assert callers.refused["b"][0] == "the directory asks for patience"
    assert callers.gate.under_way == 0


@skipping
async def test_an_answer_may_ask_for_patience() -> None:
    gate = _gate()
    async with gate.call() as call:
        call.ended(Answered.BUSY, after=7)
    async with gate.call() as call:
        assert (call.shut, clock()) == ("", 7.0)


@skipping
async def test_a_rate_spaces_operations() -> None:
    callers = _Callers(_gate(rate=2))
    await callers.come("a", operations=4)
    await callers.come("b", "c")
    await callers.all_through()
    assert callers.order == [("a", 0.0), ("b", 2.0), ("c", 2.5)]
    await asyncio.sleep(60)
    begun = clock()
    await callers.come("d", "e")  # what was not used is not saved up
    await callers.all_through()
    assert callers.order[3:] == [("d", begun), ("e", begun + 0.5)]


@skipping
async def test_who_is_refused_for_the_rate_uses_none_of_it() -> None:
    callers = _Callers(_gate(rate=1))
    names = [f"n{n}" for n in range(100)]
    callers.gate.set_limit(100)
    await callers.come(*names)
    assert len(callers.refused) == 100 - 21
    assert set(callers.refused.values()) == {("the directory asks for patience", 21.0)}
    await callers.all_through()
    assert [at for _, at in callers.order] == [float(n) for n in range(21)]
    await callers.come("later")
    await callers.all_through()
    assert callers.order[-1] == ("later", 21.0)


@skipping
async def test_a_hold_and_a_rate_together_keep_the_rate() -> None:
    """Those who waited for the rate do not all go at once when the hold is over."""
    callers = _Callers(_gate(rate=1))
    await callers.come("a", "b", "c", "d")
    callers.gate.hold(8)
    await callers.all_through()
    times = [at for _, at in callers.order]
    assert (times[0], min(times[1:])) == (0.0, 8.0)
    gaps = [later - earlier for earlier, later in zip(times[1:], times[2:], strict=False)]
    assert all(gap >= 1.0 for gap in gaps), times


@skipping
async def test_the_tally() -> None:
    gate = _gate(4)
    async with gate.call(5) as call:
        await asyncio.sleep(3)
        call.ended(Answered.DONE)
        call.ended(Answered.FAILED)  # it has ended
    async with gate.call(7, timed=False) as call:
        await asyncio.sleep(1)
        call.ended(Answered.DONE)
    async with gate.call() as call:
        call.ended(Answered.FAILED, problem="HTTP 500")
    async with gate.call() as call:
        call.ended(Answered.BUSY, after=0.5)
    async with gate.call():
        pass  # given up, without an answer
    tally = gate.taken()
    assert (tally.operations, tally.changes, tally.seconds) == (5, 1, 3.0)
    assert tally.answers == {Answered.DONE: 2, Answered.FAILED: 1, Answered.BUSY: 1}
    assert tally.of(Answered.FAILED, Answered.BUSY, Answered.AWAY) == 2
    assert (tally.problem, tally.after, tally.fatal) == ("HTTP 500", 0.5, None)
    assert (tally.most, tally.waited, gate.alarm.is_set()) == (1, False, False)
    new = gate.taken()
    assert (new.operations, new.answers, new.most, gate.under_way) == (0, {}, 0, 0)


@pytest.mark.parametrize("how", [Answered.CREDENTIALS, Answered.TLS, Answered.MAINTENANCE])
def test_what_no_call_can_mend_is_told_at_once(how: Answered) -> None:
    @skipping
    async def told() -> None:
        gate = _gate()
        async with gate.call() as call:
            call.ended(how, problem="p")
        assert (gate.tally.fatal, gate.tally.problem, gate.alarm.is_set()) == (how, "p", True)

    told()


@skipping
async def test_most_and_waited_go_on_into_the_next_tally() -> None:
    callers = _Callers(_gate(2))
    await callers.come("a", "b", "c")
    assert (callers.gate.tally.most, callers.gate.tally.waited) == (2, True)
    callers.gate.taken()
    assert (callers.gate.tally.most, callers.gate.tally.waited) == (2, True)
    await callers.go("a", "b")
    callers.gate.taken()
    assert (callers.gate.tally.most, callers.gate.tally.waited) == (1, False)


@skipping
async def test_who_waits_for_the_rate_is_no_call() -> None:
    callers = _Callers(_gate(rate=1))
    await callers.come("a", "b", "c")
    assert (callers.gate.under_way, callers.gate.tally.most) == (3, 1)
    callers.gate.taken()
    assert callers.gate.tally.most == 1


@skipping
async def test_an_error_gives_the_room_back() -> None:
    gate = _gate(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="oops"):
            async with gate.call():
                raise ValueError("oops")
    assert (gate.under_way, gate.tally.answers) == (0, {})


@skipping
async def test_who_is_cancelled_as_he_gets_room_passes_it_on() -> None:
    callers = _Callers(_gate(1))
    await callers.come("a", "b", "c")
    callers.inside["a"].set()
    await asyncio.sleep(0)
    assert callers.gate.waiting == 1
    await callers.cancel("b")  # the room was his, and he did not run yet
    assert set(callers.inside) == {"c"}


@skipping
async def test_who_is_cancelled_while_he_waits_takes_no_room() -> None:
    callers = _Callers(_gate(2, rate=1))
    await callers.come("inside", "waits for the rate", "waits for room")
    await callers.cancel("waits for room")
    assert (callers.gate.under_way, callers.gate.waiting) == (2, 0)
    await callers.cancel("waits for the rate")
    assert (callers.gate.under_way, callers.gate.waiting) == (1, 0)


@skipping
async def test_nobody_waits_behind_one_who_was_cancelled() -> None:
    callers = _Callers(_gate(1))
    await callers.come("a", "b")
    callers.tasks["b"].cancel()
    callers.tasks["c"] = asyncio.create_task(callers._call("c", 1))
    callers.gate.set_limit(2)
    await settled()
    assert (set(callers.inside), callers.gate.waiting) == ({"a", "c"}, 0)


async def _come(callers: _Callers, rng: random.Random) -> None:
    name = str(len(callers.tasks))
    callers.tasks[name] = asyncio.create_task(callers._call(name, rng.randrange(1, 4)))


async def _go(callers: _Callers, rng: random.Random) -> None:
    if callers.inside:
        callers.inside[rng.choice(sorted(callers.inside))].set()


async def _cancel(callers: _Callers, rng: random.Random) -> None:
    if there := [task for task in callers.tasks.values() if not task.done()]:
        rng.choice(there).cancel()


async def _go_and_cancel(callers: _Callers, rng: random.Random) -> None:
    """Whoever gets the room may be the one who is cancelled before he runs."""
    await _go(callers, rng)
    await asyncio.sleep(0)
    await _cancel(callers, rng)


async def _limit(callers: _Callers, rng: random.Random) -> None:
    callers.gate.set_limit(rng.randrange(5))


async def _shut(callers: _Callers, rng: random.Random) -> None:
    callers.gate.shut("it is paused") if rng.random() < 0.5 else callers.gate.open()


async def _hold(callers: _Callers, rng: random.Random) -> None:
    callers.gate.hold(rng.choice([0.5, 5, 50]))


async def _time(callers: _Callers, rng: random.Random) -> None:
    await asyncio.sleep(rng.choice([0, 0, 0.1, 3, 30]))


_OFTEN = [_come, _come, _go, _cancel, _go_and_cancel, _go_and_cancel]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    limit=st.integers(0, 4),
    rate=st.sampled_from([None, 0.3, 5.0]),
    steps=st.lists(
        st.sampled_from([*_OFTEN, _limit, _shut, _hold, _time]), min_size=10, max_size=80
    ),
)
def test_no_room_is_lost_and_none_given_twice(
    seed: int,
    limit: int,
    rate: float | None,
    steps: list[Callable[[_Callers, random.Random], Awaitable[None]]],
) -> None:
    """Whatever happens in whatever order, even before anybody could run."""

    @skipping
    async def happen() -> None:
        rng, callers = random.Random(seed), _Callers(_gate(limit, rate))
        gate = callers.gate
        for step in steps:
            await step(callers, rng)
            assert gate.under_way >= len(callers.inside)
            if rng.random() < 0.3:
                await settled()
                _is_consistent(callers)
        gate.open()
        gate.set_limit(5)
        await callers.all_through()
        assert (gate.under_way, gate.waiting, len(gate._pausing)) == (0, 0, 0)

    happen()


def _is_consistent(callers: _Callers) -> None:
    gate = callers.gate
    assert gate.under_way == len(callers.inside) + len(gate._pausing)
    assert not gate.waiting or (gate.under_way >= gate.limit and not gate.is_shut)
    there = sum(not task.done() for task in callers.tasks.values())
    assert there == gate.under_way + gate.waiting
    assert not (gate.is_shut and gate._pausing)
