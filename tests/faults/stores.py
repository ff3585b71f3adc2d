"""Faults of the two stores: the line killed, emptied, spoilt, frozen; the database killed, frozen,
locked; the API killed while it commits.

How long it takes until a restarted line is used again is told by a raw entry, since nothing but a
worker that takes from the line can see one.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

import psutil
from redis.exceptions import RedisError

from tests.faults.fault import Arena, Fault, Site, running
from tests.faults.world import World, stop_now
from tests.servers.postgres import PostgresServer, postgres_server
from tests.servers.proxy import Proxy
from tests.servers.system import until

_QUEUE = "botrix:jobs:queue"
_KEYS = (_QUEUE, "{botrix:jobs:queue}:high", "{botrix:jobs:queue}:low",
         "{botrix:jobs:queue}:turn", "{botrix:jobs:queue}:rejected")  # fmt: skip


async def line_restarted(world: World) -> float:
    """F5. Killed, and started again later, with its append-only file or without."""
    await world.keep_busy()
    line = world.system.supervisor.line
    line.kill()
    if world.rng.random() < 0.5:
        shutil.rmtree(world.system.settings.data / "appendonlydir", ignore_errors=True)
    await world.submit(3)
    await asyncio.sleep(world.rng.uniform(0.0, 1.5))
    await line.start()
    return await line_is_used(world)


async def line_spoilt(world: World) -> float:
    """F6. Emptied, keys deleted, or keys of a wrong type under our names, which are deleted later.
    Work goes on meanwhile."""
    await world.keep_busy()
    redis, rng = world.system.redis, world.rng
    kind = rng.choice(("flush", "delete", "wrong type", "taken"))
    spoilt: list[str] = []
    if kind == "flush":
        await redis.flushall()
    elif kind == "delete":
        await redis.delete(*rng.sample(_KEYS, 3))
    else:
        taken = [key async for key in redis.scan_iter(match="*:taken:*")]
        spoilt = rng.sample([*_KEYS, *taken], 2) if kind == "wrong type" else taken
        for key in spoilt:
            async with redis.pipeline(transaction=True) as both:  # a worker pushes in between, else
                await both.delete(key).hset(key, "of", "another program").execute()
    await world.job_is_done(5)
    for key in spoilt:
        with contextlib.suppress(RedisError):
            await redis.delete(key)
    return await line_is_used(world)


async def line_hung(world: World) -> float:
    """F8. Stopped for a while, its connections killed, or its clients told to wait; the API answers
    and jobs are done meanwhile."""
    await world.keep_busy()
    kind = world.rng.choice(("stop", "stop", "kill", "pause"))
    if kind == "kill":
        for _ in range(world.rng.randint(1, 4)):
            await world.system.redis.execute_command("CLIENT", "KILL", "TYPE", "normal")
            await asyncio.sleep(world.rng.uniform(0.0, 0.2))
    elif kind == "pause":
        await world.system.redis.execute_command("CLIENT", "PAUSE", "3000", "ALL")
        await world.job_is_done(3)
    else:
        pid = world.system.supervisor.line.pid
        assert pid is not None
        stop_now(pid, signal.SIGSTOP)
        try:
            await world.job_is_done(3)
            await asyncio.sleep(world.rng.uniform(0.0, 2.0))
        finally:
            stop_now(pid, signal.SIGCONT)
    return await line_is_used(world)


async def line_is_used(world: World) -> float:
    """Seconds until a worker has taken what another program pushed, and done it."""
    began = time.monotonic()
    raw: list[str] = []

    async def pushed() -> bool:
        ident = await world.push_raw(1)
        raw.extend([ident] if ident else [])
        return bool(raw)

    await until(pushed, 60, "the line takes an entry")
    await until(world.is_final(raw[0]), 30, f"{raw[0]} is done")
    return time.monotonic() - began


async def database_goes(world: World) -> float:
    """F10. PostgreSQL crashes and is started again, loses its connections, or stands still."""
    await world.keep_busy()
    server, rng = world.extras["postgres"], world.rng
    assert isinstance(server, PostgresServer)
    kind = rng.choice(("crash", "restart", "cut", "freeze"))
    if kind in ("crash", "restart"):
        server.stop(signal.SIGQUIT if kind == "crash" else signal.SIGINT)
        await asyncio.sleep(rng.uniform(0.0, 1.5))
        await asyncio.to_thread(server.start)
    elif kind == "cut":
        for _ in range(rng.randint(1, 3)):
            world.system.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'botrix' AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(rng.uniform(0.0, 0.3))
    else:
        await _frozen(server, rng.uniform(0.2, 3.0))
    return await world.job_is_done(3)


async def commit_unheard(world: World) -> float:
    """F10. Commits and flushes whose answer is lost."""
    await world.keep_busy()
    proxy = world.extras["proxy"]
    assert isinstance(proxy, Proxy)
    proxy.lose = world.rng.choice((b"COMMIT", b"created"))  # of a claim; of what is recorded
    proxy.times = proxy.lost + world.rng.randint(1, 4)
    goal = proxy.times

    async def lost() -> bool:
        if proxy.lost < goal:
            await world.keep_busy()
        return proxy.lost >= goal

    await until(lost, 60, f"{goal} answers are lost")
    return await world.job_is_done(3)


async def _frozen(server: PostgresServer, seconds: float) -> None:
    parts = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
    for part in parts:
        with contextlib.suppress(psutil.NoSuchProcess):
            part.suspend()
    await asyncio.sleep(seconds)
    for part in parts:
        with contextlib.suppress(psutil.NoSuchProcess):
            part.resume()


async def api_killed(world: World) -> float:
    """F11. The API is killed while requests come in; who had no answer asks again with its key."""
    asking = [asyncio.create_task(world.submit(world.rng.choice((1, 2, 5)))) for _ in range(40)]
    await asyncio.sleep(world.rng.uniform(0.0, 0.15))
    await world.system.restart_api()
    await asyncio.gather(*asking)
    for request in [r for r in world.requests if r["status"] is None and r["job_id"] is None][-40:]:
        if world.rng.random() < 0.5:
            await world.ask_again(request)
    return await world.job_is_done(2)


async def lock_storm(world: World) -> float:
    """F11. Another program holds the write lock of the file, time and again."""
    await world.keep_busy()
    path = world.system.settings.ledger_url.removeprefix("sqlite:///")
    over = threading.Event()
    seed = world.rng.random()
    thread = threading.Thread(target=_hold_locks, args=(path, over, seed))
    thread.start()
    try:
        await world.insist(3)
        await asyncio.sleep(world.rng.uniform(1.0, 3.0))
    finally:
        over.set()
        await asyncio.to_thread(thread.join)
    return await world.job_is_done(3)


def _hold_locks(path: str, over: threading.Event, seed: float) -> None:
    number = 0
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as db:
        while not over.is_set():
            number += 1
            db.execute("BEGIN IMMEDIATE")
            over.wait((seed * number * 7.0) % 0.8)
            db.execute("ROLLBACK")
            over.wait(0.05)


def _own_postgres(proxied: bool) -> Arena:
    """A server of its own, since others share theirs."""

    @asynccontextmanager
    async def made(site: Site) -> AsyncIterator[World]:
        with postgres_server() as server:
            direct, proxy = await server.database(), Proxy(server.port)
            url = direct
            if proxied:
                await proxy.start()
                url = direct.replace(str(server.port), str(proxy.port))
            try:
                world = World(site.folder, site.rng, ledger_url=url)
                world.system.direct_url = direct
                world.extras |= {"postgres": server, "proxy": proxy}
                async with running(world):
                    yield world
            finally:
                if proxied:
                    await proxy.stop()

    return made


def either(*trials: Callable[[World], Awaitable[float]]) -> Callable[[World], Awaitable[float]]:
    async def trial(world: World) -> float:
        return await world.rng.choice(trials)(world)

    return trial


_POSTGRES, _SQLITE = ("postgres",), ("sqlite",)
FAULTS = (
    Fault("F5", "line killed and started again", line_restarted, 10, 200),
    Fault("F6", "line emptied or spoilt", line_spoilt, 10, 100),
    Fault("F8", "line hung", line_hung, 10, 200),
    Fault("F10", "database crashed, cut, frozen", database_goes, 6, 140, per_world=20,
          databases=_POSTGRES, arena=_own_postgres(proxied=False)),
    Fault("F10-unheard", "answers of the database lost", commit_unheard, 4, 60, per_world=20,
          databases=_POSTGRES, arena=_own_postgres(proxied=True)),
    Fault("F11", "API killed while it commits; lock storm", either(api_killed, lock_storm), 18, 260,
          databases=_SQLITE),
)  # fmt: skip
