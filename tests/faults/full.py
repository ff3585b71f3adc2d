"""Faults of stores that are full: a line at its memory's bound or on a full disk, a ledger on one.

A line that refuses writes is down, and work goes on without it. A ledger that is full can accept
nothing, and must say so; nothing that it accepted before may be lost, and nobody ends.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from redis.exceptions import ResponseError

from botrix.line.server import LineServer
from tests.faults.fault import Fault, Site, running
from tests.faults.stores import line_is_used
from tests.faults.world import LEASE, World
from tests.servers import disks
from tests.servers.disks import SmallDisk
from tests.servers.system import until

_MEBIBYTES = 24
"""Of the small disks: a ledger of some thousand accounts, with its log."""


async def line_full(world: World) -> float:
    """F9. The line refuses writes, for its memory or its disk is full. Jobs are accepted and done
    meanwhile; seconds from the end of that until it is used again. The two come in turn, so that
    each is tried where each database gets one trial."""
    await world.keep_busy()
    first = world.system.direct_url.startswith("sqlite")
    turn = world.marks["turn"] = world.marks.get("turn", int(first)) + 1
    fill, heal = (_fill_memory, _free_memory) if turn % 2 else (_fill_disk, _free_disk)
    await fill(world)
    try:
        await until(_refuses(world), 60, "the line refuses writes")
        await world.job_is_done(3, within=30)
        await asyncio.sleep(world.rng.uniform(0.0, 2 * LEASE))
        await world.job_is_done(2, within=30)
        assert await _refuses(world)(), "the line was not full all the time"
    finally:
        await heal(world)
    return await line_is_used(world)


async def _fill_memory(world: World) -> None:
    await world.system.redis.config_set("maxmemory", "100kb")


async def _free_memory(world: World) -> None:
    await world.system.redis.config_set("maxmemory", "0")


async def _fill_disk(world: World) -> None:
    _disk(world).fill()


async def _free_disk(world: World) -> None:
    _disk(world).free()


def _disk(world: World) -> SmallDisk:
    disk = world.extras["disk"]
    assert isinstance(disk, SmallDisk)
    return disk


def _refuses(world: World) -> Callable[[], Awaitable[bool]]:
    """The entries are junk, and make the line write to its disk; else it would not find out."""

    async def refuses() -> bool:
        try:
            await world.system.redis.rpush("botrix:jobs:queue", *["{}"] * 20)
        except ResponseError:
            return True
        return False

    return refuses


async def ledger_full(world: World) -> float:
    """F11. The ledger's disk is full: what is asked for then is refused with a reason, or it is
    kept; nobody ends. Seconds from the end of that until a new job is done."""
    await world.keep_busy()
    pids = _pids(world)
    disk, before = _disk(world), len(world.requests)
    disk.fill()
    try:
        await until(_refused(world), 30, "a request is refused")
        for _ in range(world.rng.randint(1, 8)):
            await world.submit(world.rng.choice((1, 2, 5)))
        await asyncio.sleep(world.rng.uniform(0.0, 2 * LEASE))
    finally:
        disk.free()
    began = time.monotonic()
    await world.job_is_done(3)
    seconds = time.monotonic() - began
    answers = {request["status"] for request in world.requests[before:]}
    assert answers <= {202, 503}, f"answers while the disk was full: {answers}"
    for text in world.errors:
        said = json.loads(text)
        assert said["status"] == 503, said
        assert said["title"], said
        assert said["detail"], said
    assert _pids(world) == pids, "a process ended"
    return seconds


def _refused(world: World) -> Callable[[], Awaitable[bool]]:
    async def refused() -> bool:
        return await world.submit(1) is None

    return refused


def _pids(world: World) -> dict[str, tuple[int, int | None]]:
    processes = {**world.system.workers, "api": world.system.supervisor.processes["api"]}
    return {name: (process.pid, process.returncode) for name, process in processes.items()}


@asynccontextmanager
async def _line_on_a_small_disk(site: Site) -> AsyncIterator[World]:
    world = World(site.folder, site.rng, ledger_url=await site.ledger_url())
    with disks.small_disk(site.folder / "small", _MEBIBYTES) as disk:
        socket = world.system.settings.line_socket
        world.system.supervisor.line = LineServer(disk.folder, socket)
        world.extras["disk"] = disk
        async with running(world):
            yield world


@asynccontextmanager
async def _ledger_on_a_small_disk(site: Site) -> AsyncIterator[World]:
    with disks.small_disk(site.folder / "small", _MEBIBYTES) as disk:
        url = f"sqlite:///{disk.folder / 'ledger.sqlite'}"
        world = World(site.folder, site.rng, ledger_url=url)
        world.extras["disk"] = disk
        async with running(world):
            yield world


FAULTS = (
    Fault("F9", "line full", line_full, 2, 20, per_world=10, arena=_line_on_a_small_disk,
          needs=disks.missing),
    Fault("F11-disk", "ledger on a full disk", ledger_full, 2, 40, per_world=10,
          databases=("sqlite",), arena=_ledger_on_a_small_disk, needs=disks.missing),
)  # fmt: skip
