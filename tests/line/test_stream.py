"""The events that the line keeps, on each kind of server: in order, capped, and never a place where
something is missing behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from botrix.errors import LineDown
from botrix.line import keys
from botrix.line.line import Line
from botrix.line.server import LineServer
from botrix.line.shown import Update
from botrix.line.stream import NOWHERE
from botrix.line.users import acl
from tests.servers import redises
from tests.servers.system import look_at


@pytest_asyncio.fixture(
    params=[
        pytest.param("valkey", marks=pytest.mark.suite("Valkey")),
        pytest.param("cluster", marks=redises.needed("Cluster")),
    ]
)
async def url(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[str]:
    if request.param == "cluster":
        async with redises.cluster(folder) as nodes:
            yield nodes.url
        return
    server = LineServer(folder, folder / "line.sock")
    await server.start()
    yield server.url
    await server.stop()


@pytest_asyncio.fixture
async def line(url: str) -> AsyncIterator[Line]:
    opened = Line.open(url)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def redis(url: str) -> AsyncIterator[Redis]:
    """Another program."""
    opened = look_at(url)
    yield opened
    await opened.aclose()


def _update(n: int, tenant: str = "default", status: str = "running") -> Update:
    return Update(tenant, f"j{n}", status, None, f'{{"n": {n}}}')


async def test_events_are_kept_in_order_with_their_tenant(line: Line) -> None:
    assert await line.events_last(9) == []
    await line.publish([_update(1), _update(2, "other")])
    await line.publish([_update(3)])
    told = await line.events_last(9)
    assert [(one.tenant_id, one.job_id, one.event) for one in told] == [
        ("default", "j1", b'{"n": 1}'), ("other", "j2", b'{"n": 2}'), ("default", "j3", b'{"n": 3}')
    ]  # fmt: skip
    assert await line.events_after(NOWHERE, 2) == told[:2]
    assert await line.events_after(told[0].id, 9) == told[1:]
    assert await line.events_after(told[2].id, 9) == []


async def test_what_is_not_shown_is_no_event(line: Line) -> None:
    """A late `running` of a job that has ended."""
    await line.publish([_update(1, status="completed"), _update(1)])
    assert len(await line.events_last(9)) == 1


async def test_about_so_many_are_kept(line: Line, redis: Redis) -> None:
    few = [_update(n) for n in range(1000)]
    for _ in range(keys.EVENTS_KEPT // 1000 + 2):
        await line.publish(few)
    assert keys.EVENTS_KEPT <= await redis.xlen(keys.EVENTS) <= keys.EVENTS_KEPT + 1000


async def test_a_place_is_none_once_its_event_is_gone(line: Line, redis: Redis) -> None:
    await line.publish([_update(n) for n in range(5)])
    told = await line.events_last(9)
    await redis.xtrim(keys.EVENTS, maxlen=3, approximate=False)
    assert await line.events_after(told[1].id, 9) is None
    assert await line.events_after(told[2].id, 9) == told[3:]
    await redis.delete(keys.EVENTS)
    assert await line.events_after(told[4].id, 9) is None
    await line.publish([_update(9)])
    assert await line.events_after(told[4].id, 9) is None


async def test_a_wait_ends_with_an_event(line: Line) -> None:
    await line.publish([_update(1)])
    (last,) = await line.events_last(1)
    await asyncio.wait_for(line.events_wait(last.id, 0.01), 5)
    waiting = asyncio.create_task(line.events_wait(last.id, 30))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await line.publish([_update(2)])
    await asyncio.wait_for(waiting, 5)


async def test_a_key_of_another_program_makes_way(line: Line, redis: Redis) -> None:
    await redis.set(keys.EVENTS, "by another program")
    with pytest.raises(LineDown, match="wrong type"):
        await line.events_last(1)
    assert line.up  # for the rest goes on
    await line.publish([_update(1)])
    assert [one.job_id for one in await line.events_last(9)] == ["j1"]


@pytest.mark.suite("Valkey")
async def test_an_acl_of_an_earlier_release_costs_the_events_alone(folder: Path) -> None:
    server = LineServer(folder, folder / "line.sock")
    await server.start()
    rights = next(
        text for text in acl(botrix="p", viewer="v", scaler="s").splitlines()
        if text.startswith("user botrix ")
    )  # fmt: skip
    earlier = [word for word in rights.split()[1:] if not word.startswith("+x")]
    async with Redis.from_url(server.url) as redis:
        await redis.execute_command("ACL", "SETUSER", *earlier, ">secret")
    line = Line.open(server.url.replace("unix://", "unix://botrix:secret@"))
    try:
        await line.publish([_update(1)])
        assert await line.status("j1") == "running"
        with pytest.raises(LineDown, match="ACL"):
            await line.events_last(1)
        assert line.up
    finally:
        await line.close()
        await server.stop()
