"""What `/live`, `/ready` and `/health` say while a part is down, and when it is back."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.servers.line import TcpLineServer
from tests.servers.postgres import available, postgres_server
from tests.servers.system import System, until

_ALL_UP = {"/live": 200, "/ready": 200, "/health": 200}


async def _said(system: System) -> dict[str, int]:
    said = {}
    for path in _ALL_UP:
        async with system.http.get(path) as answer:
            said[path] = answer.status
    return said


async def _until_all_is_up(system: System) -> None:
    async def up() -> bool:
        return await _said(system) == _ALL_UP

    await until(up, 20, "all is up")


async def test_a_line_that_is_down(system: System) -> None:
    assert await _said(system) == _ALL_UP
    system.supervisor.line.kill()
    assert await _said(system) == {"/live": 200, "/ready": 503, "/health": 200}
    async with system.http.get("/ready") as answer:
        said = await answer.json(content_type="application/problem+json")
    assert said["title"] == "Line does not answer"
    await system.generate(1)  # jobs are accepted all the same
    await system.restart_api()  # and so does an API start
    await system.supervisor.line.start()
    await _until_all_is_up(system)


@pytest.mark.suite("Valkey")
async def test_a_line_that_refuses_writes_is_down(folder: Path) -> None:
    line = TcpLineServer(folder / "line")
    await line.start()
    system = System(folder / "data", redis_url=line.tcp_url)
    try:
        await system.start()
        assert await _said(system) == _ALL_UP
        async with Redis.from_url(line.url) as redis:
            await redis.config_set("maxmemory", "1")
            assert (await _said(system))["/ready"] == 503
            await redis.config_set("maxmemory", "0")
        await _until_all_is_up(system)
    finally:
        await system.stop()
        await line.stop()


@pytest.mark.suite("PostgreSQL")
async def test_a_ledger_that_is_down(folder: Path) -> None:
    if not available():
        pytest.skip("no PostgreSQL on this machine: /ready without the ledger was not tried")
    with postgres_server() as server:
        system = System(folder, ledger_url=await server.database())
        try:
            await system.start()
            assert await _said(system) == _ALL_UP
            server.stop()
            assert await _said(system) == {"/live": 200, "/ready": 503, "/health": 503}
            server.start()
            await _until_all_is_up(system)
        finally:
            await system.stop()
