"""Faults of a line of several servers: Sentinels let a replica take over, nodes of a Cluster end.

Redis of the machine is what has both; a line on one server fails in `stores.py` and `network.py`.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.fault import Fault, Site, running
from tests.faults.network import all_work
from tests.faults.stores import line_is_used
from tests.faults.world import LEASE, World
from tests.servers import redises
from tests.servers.system import until

_SLOT = 4960  # of the lanes


async def failover_by_sentinels(world: World) -> float:
    """F7. The replica gets nothing more, jobs come in, and the primary is killed, or stands still
    and wakes when another leads. Work goes on meanwhile. Seconds from then until the new primary is
    used; no job of the tail is lost."""
    line, rng = world.extras["line"], world.rng
    assert isinstance(line, redises.Watched)
    await until(line.is_whole, 60, "the replica follows")
    await world.keep_busy(rng.choice((40, 120)))
    await line.cut_off()
    jobs = [await world.insist(rng.choice((1, 3, 8))) for _ in range(10)]
    old, dies = line.primary, rng.random() < 0.5
    old.kill() if dies else old.signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        await until(line.has_turned, 30, "the Sentinels have let the replica take over")
        await line_is_used(world)
        seconds = time.monotonic() - began
        for job in jobs:
            await until(world.is_final(job), 60, f"{job} is final, after a failover")
        await asyncio.sleep(rng.uniform(0.0, LEASE))
    finally:
        await old.start() if dies else old.signal(signal.SIGCONT)
    await world.keep_busy()
    await line_is_used(world)  # the old one may think for a while that it leads
    await all_work(world)
    return seconds


async def node_restarted(world: World) -> float:
    """F5. A node of a Cluster is killed, that with the lanes or another, and started again when the
    others have seen it. Without it no slot is served; work goes on from the ledger. Seconds from
    its start until the line is used."""
    line, rng = world.extras["line"], world.rng
    assert isinstance(line, redises.Nodes)
    await world.keep_busy(80)
    lanes = await line.owner(_SLOT)
    server = lanes if rng.random() < 0.5 else rng.choice(line.servers)
    server.kill()
    await until(line.is_broken, 60, "the others see that it is gone")
    await world.job_is_done(3)
    began = time.monotonic()
    await server.start()
    await line_is_used(world)
    seconds = time.monotonic() - began
    await _is_shown(world)
    await all_work(world)
    return seconds


async def slot_moved(world: World) -> float:
    """F5. The slot of the lanes moves to another node, with all that is in it, while work goes on.
    Seconds until the line is used again."""
    line = world.extras["line"]
    assert isinstance(line, redises.Nodes)
    await world.keep_busy(80)
    source = await line.owner(_SLOT)
    target = world.rng.choice([one for one in line.servers if one is not source])
    began = time.monotonic()
    await line.move(_SLOT, source, target)
    await line_is_used(world)
    seconds = time.monotonic() - began
    await all_work(world)
    return seconds


async def _is_shown(world: World) -> None:
    """Status and results of a job, and the health of each worker, in whichever slots they are. A
    process that finds the line down shows nothing, so that some jobs may have to be made."""
    redis = world.system.redis

    async def shown() -> bool:
        job = await world.insist(1)
        await until(world.is_final(job), 30, f"{job} is final")
        await asyncio.sleep(0.2)  # it is shown after the commit
        status = await redis.get(f"botrix:jobs:status:{job}")
        return status == "completed" and bool(await redis.get(f"botrix:jobs:results:{job}"))

    async def healthy() -> bool:
        items = (await world.system.get("/api/workers")).get("items", ())
        return {one["worker_id"] for one in items} == set(world.names)

    await until(shown, 30, "status and results of a job are shown")
    await until(healthy, 60, "the workers are shown")


@asynccontextmanager
async def _watched(site: Site) -> AsyncIterator[World]:
    async with redises.sentinels(site.folder) as line, _on(site, line.url) as world:
        world.extras["line"] = line
        yield world


@asynccontextmanager
async def _in_a_cluster(site: Site) -> AsyncIterator[World]:
    async with redises.cluster(site.folder) as line, _on(site, line.url) as world:
        world.extras["line"] = line
        yield world


@asynccontextmanager
async def _on(site: Site, redis_url: str) -> AsyncIterator[World]:
    url = await site.ledger_url()
    world = World(site.folder, site.rng, ledger_url=url, redis_url=redis_url)
    async with running(world):
        yield world


FAULTS = (
    Fault("F7-sentinel", "failover by Sentinels", failover_by_sentinels, 2, 40, per_world=10,
          databases=("postgres",), suite="Sentinel", arena=_watched, needs=redises.missing),
    Fault("F5-cluster", "node of a Cluster restarted", node_restarted, 2, 40, per_world=10,
          databases=("postgres",), suite="Cluster", arena=_in_a_cluster, needs=redises.missing),
    Fault("F5-slot", "slot of the lanes moved to another node", slot_moved, 2, 40, per_world=10,
          databases=("postgres",), suite="Cluster", arena=_in_a_cluster, needs=redises.missing),
)  # fmt: skip
