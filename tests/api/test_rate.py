"""Requests of a minute: counted by two processes together, and by each alone without the line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from redis.asyncio import Redis

from botrix.api.rate import Rate
from botrix.line import keys
from botrix.line.line import Line
from botrix.line.server import LineServer
from botrix.line.users import acl
from tests.servers.system import until

_AT = 1_000_020.0  # the first second of a minute


class _Setting:
    def __init__(self, server: LineServer, lines: list[Line]) -> None:
        self.now = _AT
        self.server = server
        self.lines = lines
        self.rates = [Rate(line, lambda: self.now) for line in lines]

    async def ask(self, times: int, tenant: str = "a", limit: int | None = 50) -> list[float]:
        """The waits of those that were refused."""
        calls = [self.rates[n % 2].allowed(tenant, limit) for n in range(times)]
        return [wait for wait in await asyncio.gather(*calls) if wait is not None]


@pytest_asyncio.fixture
async def setting(folder: Path) -> AsyncIterator[_Setting]:
    server = LineServer(folder, folder / "line.sock")
    await server.start()
    lines = [Line.open(server.url) for _ in range(2)]
    yield _Setting(server, lines)
    for line in lines:
        await line.close()
    await server.stop()


async def test_of_two_processes_together_so_many_are_allowed(setting: _Setting) -> None:
    setting.now = _AT + 18.5
    waits = await setting.ask(200)
    assert waits == [41.5] * 150
    assert await setting.ask(1, tenant="b") == []
    assert await setting.ask(100, limit=None) == []


async def test_the_next_minute_begins_anew_and_counts_vanish(setting: _Setting) -> None:
    assert len(await setting.ask(60)) == 10
    setting.now = _AT + 60.0
    assert len(await setting.ask(60)) == 10
    async with Redis.from_url(setting.server.url) as redis:
        names = [keys.requests("a", int(at // 60)) for at in (_AT, setting.now)]
        assert await redis.mget(names) == [b"60", b"60"]
        for name in names:
            assert 0 < await redis.ttl(name) <= keys.REQUESTS_TTL


async def test_without_the_line_each_counts_for_itself(setting: _Setting) -> None:
    assert await setting.ask(60) != []
    setting.now = _AT + 60.0
    assert await setting.ask(20) == []
    await setting.server.stop()
    assert len(await setting.ask(140)) == 60  # of 80 each, and all are answered
    await setting.server.start()

    async def all_up() -> bool:
        return all(line.up for line in setting.lines)

    await until(all_up, 10, "the line is back")
    setting.now = _AT + 120.0
    assert len(await setting.ask(60)) == 10


async def test_what_another_program_wrote_there_is_no_count(setting: _Setting) -> None:
    async with Redis.from_url(setting.server.url) as redis:
        await redis.rpush(keys.requests("a", int(_AT // 60)), "x")
        assert len(await setting.ask(60)) == 10


async def test_the_user_of_the_line_may_count(setting: _Setting) -> None:
    """The rights that the line's own user has are enough."""
    async with Redis.from_url(setting.server.url) as redis:
        (user,) = [
            text for text in acl(botrix="p", viewer="v", scaler="s").splitlines()
            if text.startswith("user botrix ")
        ]  # fmt: skip
        await redis.execute_command("ACL", "SETUSER", *user.split()[1:], ">secret")
    url = setting.server.url.replace("unix://", "unix://botrix:secret@")
    line = Line.open(url)
    try:
        assert await line.count_request("a", 1) == 1
        assert await line.count_request("a", 1) == 2
    finally:
        await line.close()
