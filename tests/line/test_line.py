"""The line on real servers: Valkey of the wheel, and Redis where it is installed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from botrix.errors import LineDown
from botrix.line import keys
from botrix.line.entries import encode
from botrix.line.line import Back, Line, New, Placing, Rejected
from botrix.line.server import LineServer
from botrix.line.shown import Update
from botrix.model import Lane

_REDIS = shutil.which("redis-server")


class _Debian(LineServer):
    """The same, by another binary: the Redis of the machine."""

    binary = Path(_REDIS or "redis-server")


@pytest_asyncio.fixture(
    params=[
        pytest.param(LineServer, id="valkey", marks=pytest.mark.suite("Valkey")),
        pytest.param(
            _Debian,
            id="redis",
            marks=[
                pytest.mark.suite("Redis"),
                pytest.mark.skipif(_REDIS is None, reason="no Redis on this machine"),
            ],
        ),
    ]
)
async def server(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[LineServer]:
    made: LineServer = request.param(folder, folder / "line.sock")
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def line(server: LineServer) -> AsyncIterator[Line]:
    opened = Line.open(server.url)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def redis(server: LineServer) -> AsyncIterator[Redis]:
    """Another program."""
    async with Redis.from_url(server.url) as opened:
        yield opened


async def push(line: Line, numbers: range, lane: Lane = Lane.NORMAL) -> None:
    await line.push([Placing(f"j{n}", n, lane) for n in numbers])


def raws(numbers: range) -> list[bytes]:
    return [encode(f"j{n}", n) for n in numbers]


async def test_a_take_is_first_in_first_out_and_repeats_itself(line: Line) -> None:
    await push(line, range(1, 6))
    taken = await line.take("s", "1", 3)
    assert [one.raw for one in taken] == raws(range(1, 4))
    assert await line.take("s", "1", 3) == taken
    assert (await line.depths())[Lane.NORMAL] == 2


async def test_settling_puts_back_to_head_and_tail(line: Line) -> None:
    await push(line, range(1, 5))
    await line.take("s", "1", 3)
    back = [
        Back(Lane.NORMAL, encode("j1", 9), head=False),
        Back(Lane.NORMAL, encode("j2", 2), head=True),
        Back(Lane.NORMAL, encode("j3", 3), head=True),
    ]
    assert await line.settle("s", "1", back, [Rejected(b"x", "why")]) == "settled"
    assert await line.settle("s", "1", back, []) == "already"
    assert await line.heads(Lane.NORMAL, 9) == [*raws(range(2, 5)), encode("j1", 9)]
    assert b"why" in (await line.rejected(1))[0]


async def test_a_settle_said_again_spares_the_batch_it_never_saw(line: Line) -> None:
    """The answer of settle-and-take is lost: said again, it must not drop the second batch."""
    await push(line, range(1, 5))
    await line.take("s", "1", 2)
    seen = dict(line._batches)
    second = await line.settle_and_take("s", "1", [], [], 2)
    line._batches = seen
    assert await line.settle_and_take("s", "1", [], [], 2) == second
    assert [one.raw for one in second] == raws(range(3, 5))


async def test_no_lane_starves(line: Line) -> None:
    for lane in Lane:
        await push(line, range(1, 100), lane)
    first = []
    for _ in range(32):
        (one,) = await line.take("s", "1", 1)
        await line.settle("s", "1", [], [])
        first.append(one.lane)
    assert (first.count(Lane.HIGH), first.count(Lane.NORMAL), first.count(Lane.LOW)) == (28, 2, 2)


async def test_what_a_dead_session_took_goes_back_to_the_heads(line: Line) -> None:
    await push(line, range(1, 6))
    await line.take("dead", "2", 3)
    assert await line.give_back(["dead"], ["1", "2"]) == 3
    assert await line.heads(Lane.NORMAL, 9) == raws(range(1, 6))


async def test_a_final_status_is_kept_unless_forced(line: Line) -> None:
    for status, forced, kept in (
        ("completed", False, "completed"),
        ("running", False, "completed"),
        ("running", True, "running"),
    ):
        await line.publish([Update("default", "j", status, None, "{}", forced)])
        assert await line.status("j") == kept


async def test_what_is_entered_is_shown_and_stands_in_its_lane(line: Line) -> None:
    lanes = [Lane.LOW, Lane.HIGH, Lane.NORMAL]
    new = [New("t", f"j{n}", f"{n}", lanes[n % 3], n + 1) for n in range(3300)]
    await line.enter([*new, New("t", "later", "later", Lane.LOW, None)])
    for lane in lanes:
        wanted = [encode(one.id, one.place or 0) for one in new if one.lane is lane]
        assert await line.heads(lane, 9999) == wanted
    assert [await line.status(job) for job in ("j0", "j3299", "later")] == ["pending"] * 3
    last = await line.events_last(9999)
    assert [one.event.decode() for one in last] == [one.event for one in new] + ["later"]
    assert {one.tenant_id for one in last} == {"t"}


async def test_what_was_shown_of_it_before_it_was_entered_stays(line: Line) -> None:
    await line.publish([Update("t", "j", "running", None, "running")])
    await line.enter([New("t", "j", "pending", Lane.LOW, 7)])
    assert await line.status("j") == "running"
    assert [one.event for one in await line.events_last(9)] == [b"running"]
    assert await line.heads(Lane.LOW, 9) == [encode("j", 7)]


async def test_a_wait_ends_with_a_push_and_takes_nothing(line: Line) -> None:
    waiting = asyncio.create_task(line.wait(30))
    await asyncio.sleep(0)
    await push(line, range(1, 2), Lane.LOW)
    await asyncio.wait_for(waiting, 5)
    assert await line.heads(Lane.LOW, 9) == raws(range(1, 2))


async def test_the_same_line_works_again_after_an_outage(server: LineServer, line: Line) -> None:
    await push(line, range(1, 3))
    server.kill()
    with pytest.raises(LineDown):
        await line.take("s", "1", 1)
    await server.start()
    await push(line, range(3, 4))
    assert (await line.take("s", "1", 9))[-1].raw == encode("j3", 3)


async def test_a_lane_of_the_wrong_type_loses_nothing(redis: Redis, line: Line) -> None:
    await push(line, range(1, 4), Lane.HIGH)
    await redis.set(keys.LANES[Lane.LOW], "by another program")
    for _ in range(40):  # every 16th take begins with the low lane
        with contextlib.suppress(LineDown):
            taken = await line.take("s", "1", 9)
            back = [Back(one.lane, one.raw, head=True) for one in reversed(taken)]
            await line.settle("s", "1", back, [])
    await redis.delete(keys.LANES[Lane.LOW])
    await line.give_back(["s"], ["1"])
    assert sorted(await line.heads(Lane.HIGH, 9)) == raws(range(1, 4))


async def test_a_wait_of_no_time_ends(line: Line) -> None:
    await asyncio.wait_for(line.wait(0), 5)
    await asyncio.wait_for(line.wait(0.01), 5)


async def test_an_idle_wait_costs_few_commands(redis: Redis, line: Line) -> None:
    before = (await redis.info("stats"))["total_commands_processed"]
    for _ in range(20):
        await line.wait(0.05)
    after = (await redis.info("stats"))["total_commands_processed"]
    assert after - before < 80  # three lanes, twenty waits


async def test_an_entry_that_is_too_large_is_rejected_and_the_next_one_taken(
    redis: Redis, line: Line
) -> None:
    await redis.rpush(keys.LANES[Lane.NORMAL], b"x" * 70_000, encode("j1", 1))
    assert [one.raw for one in await line.take("s", "1", 9)] == [encode("j1", 1)]
    assert b"70000" in (await line.rejected(1))[0]


async def test_a_server_that_is_full_counts_as_down(redis: Redis, line: Line) -> None:
    await push(line, range(1, 3))
    await redis.config_set("maxmemory", 1)
    with pytest.raises(LineDown, match="out of memory"):
        await push(line, range(3, 4))
    await redis.config_set("maxmemory", 0)
    assert [one.raw for one in await line.take("s", "1", 9)] == raws(range(1, 3))
