"""What a worker and the API say to a service manager, heard on a socket as systemd would."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from botrix.ledger.migrate import upgrade
from tests.deployment.manager import manager
from tests.servers.postgres import PostgresServer
from tests.servers.system import System, free_port, until

_WATCHDOG = 3.0


@pytest.mark.parametrize("system", ["sqlite"], indirect=True)
async def test_a_worker_is_ready_once_its_session_is_open_and_says_when_it_ends(
    system: System,
) -> None:
    async with manager(f"\0botrix-{os.getpid()}-{free_port()}", _WATCHDOG) as heard:
        process = await system.worker(**heard.environ)
        await heard.hears("READY", "1")
        (session,) = system.rows("SELECT id FROM sessions WHERE status = 'live'")
        assert heard.said("STATUS")[-1] == f"worker-1: session {session[0]}"
        await heard.lives(3)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
        assert heard.said("STOPPING") == ["1"]


@pytest.mark.parametrize("system", ["sqlite"], indirect=True)
async def test_a_line_that_is_gone_is_no_silence(system: System) -> None:
    async with manager(f"\0botrix-{os.getpid()}-{free_port()}", 1.0) as heard:
        await system.worker(**heard.environ)
        await heard.hears("READY", "1")
        system.supervisor.line.kill()
        await heard.lives(60)  # at 20 in a lease: for longer than a command to the line may take


@pytest.mark.parametrize("system", ["sqlite"], indirect=True)
async def test_a_drain_is_no_silence(system: System, folder: Path) -> None:
    system.add_directory("slow", delay=30.0)
    async with manager(str(folder / "notify"), 1.0) as heard:
        process = await system.worker(**heard.environ, BOTRIX_GRACE="5")
        await heard.hears("READY", "1")
        job = await system.generate(3, directory="slow")

        async def leased() -> bool:
            return bool(system.rows("SELECT 1 FROM accounts WHERE status = 'leased' LIMIT 1"))

        await until(leased, 20, f"work of {job} is under way")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
        drained = [said for said in heard.heard if said.get("STOPPING")]
        after = heard.heard[heard.heard.index(drained[0]) :]
        assert sum("WATCHDOG" in said for said in after) >= 5, after


@pytest.mark.suite("PostgreSQL")
async def test_a_ledger_that_stands_still_is_no_silence(
    postgres_server: PostgresServer, folder: Path
) -> None:
    """At a start and in the middle: a worker waits for ever, and is not ended for it."""
    system = System(folder, ledger_url=await postgres_server.database())
    await system.start()
    try:
        async with manager(str(folder / "notify"), _WATCHDOG) as heard:
            server = psutil.Process(postgres_server.pid)
            with _frozen(server):
                await system.worker(**heard.environ)
                await heard.hears("STATUS", "waiting for the ledger")
                await heard.lives(3)
                assert "READY" not in str(heard.heard)
                assert heard.said("EXTEND_TIMEOUT_USEC")
            await heard.hears("READY", "1", 40)
            with _frozen(server):
                await heard.hears_again("STATUS", "waiting for the ledger")
                await heard.lives(3)
            job = await system.generate(5)
            assert (await system.final(job, 60))["created"] == 5
            assert len(heard.said("READY")) >= 2, "the session was lost meanwhile, and opened again"
    finally:
        await system.stop()


async def test_the_api_is_ready_once_it_listens_and_has_seen_the_ledger(folder: Path) -> None:
    port = free_port()
    async with manager(str(folder / "notify"), 1.0) as heard:
        environ = {"BOTRIX_DATA": str(folder), "BOTRIX_PORT": str(port), **heard.environ}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "botrix", "api", env={**os.environ, **environ}
        )
        try:
            await heard.hears("STATUS", "waiting for the ledger")
            await heard.lives(3)
            assert "READY" not in str(heard.heard)
            await asyncio.to_thread(upgrade, f"sqlite:///{folder}/ledger.sqlite")
            await heard.hears("READY", "1")
            async with aiohttp.request("GET", f"http://127.0.0.1:{port}/health") as answer:
                assert (await answer.json())["ledger"] is True
            await heard.lives(3)
        finally:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 20)
        assert heard.said("STOPPING") == ["1"]


@contextlib.contextmanager
def _frozen(server: psutil.Process) -> Iterator[None]:
    """First itself, so that no child comes later; then the children."""
    server.suspend()
    children = server.children()
    for part in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            part.suspend()
    try:
        yield
    finally:
        for part in (server, *children):
            with contextlib.suppress(psutil.NoSuchProcess):
                part.resume()
