"""One worker daemon of several processes, on PostgreSQL: what it keeps, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from botrix.creators.local import count_tags
from tests.deployment.manager import manager
from tests.measured import OPENMETRICS, samples
from tests.servers.postgres import PostgresServer
from tests.servers.system import System, free_port, until

pytestmark = pytest.mark.suite("PostgreSQL")
_TWO = ("--processes", "2")


@pytest_asyncio.fixture
async def system(folder: Path, postgres_server: PostgresServer) -> AsyncIterator[System]:
    made = System(folder, ledger_url=await postgres_server.database())
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


async def test_two_share_the_work_each_with_a_port_and_a_file_of_its_own(system: System) -> None:
    first = _two_ports()
    system.add_directory("slow", delay=0.05, batch=1, concurrency=4)
    word = system.settings.data / "word"
    await system.worker(
        "one", *_TWO, BOTRIX_METRICS_PORT=str(first), BOTRIX_HEALTH_FILE=str(word),
        HEALTH_CHECK_INTERVAL="0.4", BOTRIX_CAPACITY="16",
    )  # fmt: skip
    await _live(system, "one-1", "one-2")
    for job in [await system.generate(4, directory="slow") for _ in range(50)]:
        assert (await system.final(job, 60))["created"] == 4
    created = [await _calls(system, port) for port in (first, first + 1)]
    assert min(created) > 10, created
    assert sum(created) == 200
    for number in (1, 2):
        said = json.loads((system.settings.data / f"word-{number}").read_text())
        assert said["worker_id"] == f"one-{number}"
    assert json.loads(word.read_text())["processes"] == 2


async def test_one_that_is_killed_is_started_again_and_exactly_so_many_exist(
    system: System,
) -> None:
    daemon = await system.worker("one", *_TWO)
    pids = await _live(system, "one-1", "one-2")
    job = await system.generate(80)

    async def under_way() -> bool:
        return bool(system.rows("SELECT 1 FROM jobs WHERE created > 5"))

    await until(under_way, 30, "accounts are created")
    os.kill(pids["one-1"], signal.SIGKILL)

    async def again() -> bool:
        return (await _found(system)).get("one-1", pids["one-1"]) != pids["one-1"]

    await until(again, 20, "another one-1 lives")
    assert (await _found(system))["one-2"] == pids["one-2"]
    assert (await system.final(job, 60))["created"] == 80
    tags = count_tags(system.settings.local_directory_file)
    assert len(tags) == 80
    assert set(tags.values()) == {1}
    assert daemon.returncode is None


async def test_all_end_within_the_grace_and_hand_back(system: System) -> None:
    await _busy(system, grace="3")
    processes = _children(system.workers["one"])
    assert len(processes) == 2
    assert await asyncio.wait_for(system.terminate("one"), 8) == 0
    assert not any(one.is_running() for one in processes)
    assert system.rows("SELECT 1 FROM sessions WHERE status <> 'ended'") == []
    assert system.rows("SELECT 1 FROM accounts WHERE status = 'leased'") == []


async def test_a_second_signal_is_passed_on(system: System) -> None:
    async with manager(f"\0botrix-{os.getpid()}-{free_port()}", 2.0) as heard:
        daemon = await _busy(system, grace="60", **heard.environ)
        daemon.send_signal(signal.SIGINT)
        await heard.hears("STOPPING", "1")
        await heard.lives(4)  # as whoever has a call under way says each second while it drains
        assert _children(daemon)
        assert await asyncio.wait_for(system.terminate("one"), 10) == 0


async def test_nobody_is_left_where_the_daemon_is_killed(system: System) -> None:
    await _busy(system, grace="2")
    processes = _children(system.workers["one"])
    await system.kill("one")

    async def gone() -> bool:
        return not any(one.is_running() for one in processes)

    await until(gone, 10, "its processes ended")
    assert system.rows("SELECT 1 FROM sessions WHERE status <> 'ended'") == []


async def test_the_manager_hears_of_all_as_of_one(system: System) -> None:
    async with manager(f"\0botrix-{os.getpid()}-{free_port()}", 3.0) as heard:
        await system.worker("one", *_TWO, **heard.environ)
        await heard.hears("READY", "1")
        pids = await _found(system)
        assert sorted(pids) == ["one-1", "one-2"], "ready before all were"
        assert "one-1: session" in heard.said("STATUS")[-1]
        assert "one-2: session" in heard.said("STATUS")[-1]
        await heard.lives(4)
        os.kill(pids["one-2"], signal.SIGSTOP)
        await _silent(heard.heard, 2.0)

        async def replaced() -> bool:
            return (await _found(system)).get("one-2", pids["one-2"]) != pids["one-2"]

        await until(replaced, 30, "another one-2 lives")
        await heard.lives(4)
        assert await system.terminate("one") == 0
        assert heard.said("READY") == ["1"]
        assert heard.said("STOPPING") == ["1"]


async def test_one_that_cannot_start_ends_all(system: System) -> None:
    (system.settings.data / "sealing.key").write_text("no key\n")
    daemon = await system.worker("one", *_TWO)
    assert await asyncio.wait_for(daemon.wait(), 20) == 1


async def test_on_sqlite_there_is_one(folder: Path) -> None:
    environ = {**os.environ, "BOTRIX_DATA": str(folder), "BOTRIX_PROCESSES": "2"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", "worker", env=environ, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert said.decode() == (
        "Error: --processes 2: a ledger on SQLite has one worker process; leave it out, or let"
        " BOTRIX_LEDGER_URL name a PostgreSQL\n"
    )


async def _busy(system: System, grace: str, **environ: str) -> Process:
    """Both hold accounts of a directory that does not answer."""
    system.add_directory("slow", delay=60)
    daemon = await system.worker("one", *_TWO, BOTRIX_GRACE=grace, BOTRIX_CAPACITY="8", **environ)
    await _live(system, "one-1", "one-2")
    for _ in range(24):
        await system.generate(1, directory="slow")

    async def leased() -> bool:
        sql = "SELECT count(DISTINCT session_id) FROM accounts WHERE status = 'leased'"
        return system.rows(sql) == [(2,)]

    await until(leased, 20, "both hold accounts")
    return daemon


async def _live(system: System, *names: str) -> dict[str, int]:
    async def live() -> bool:
        return sorted(await _found(system)) == sorted(names)

    await until(live, 30, f"{names} live")
    return await _found(system)


async def _found(system: System) -> dict[str, int]:
    return dict(system.rows("SELECT worker_id, pid FROM sessions WHERE status = 'live'"))


async def _calls(system: System, port: int) -> float:
    async with system.http.get(f"http://127.0.0.1:{port}/metrics", headers=OPENMETRICS) as answer:
        found = samples(await answer.text())
    return sum(
        value
        for key, value in found.items()
        if key[0] == "botrix_worker_create_duration_seconds_count"
    )


async def _silent(heard: list[dict[str, str]], seconds: float) -> None:
    """Until nothing was heard for so long."""
    loop = asyncio.get_running_loop()
    seen, since = len(heard), loop.time()

    async def silent() -> bool:
        nonlocal seen, since
        if len(heard) != seen:
            seen, since = len(heard), loop.time()
        return loop.time() - since > seconds

    await until(silent, 15, f"silence of {seconds} s")


def _children(daemon: Process) -> list[psutil.Process]:
    return psutil.Process(daemon.pid).children()


def _two_ports() -> int:
    """The first of two that are free."""
    return next(port for port in iter(free_port, None) if _free(port + 1))


def _free(port: int) -> bool:
    try:
        with socket.socket() as found:
            found.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
