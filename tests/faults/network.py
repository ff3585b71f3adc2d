"""Faults of the network: a failover to a replica that has not got everything, and partitions.

Both need a line on a TCP port. Partitions are made by dropping packets in a network namespace of
our own, which has no other traffic; so nobody is told that a connection is gone, and only time-outs
tell. The API and the workers are behind the same drop, and the tests themselves are too.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from tests.faults.fault import Fault, Site, running
from tests.faults.stores import line_is_used
from tests.faults.world import LEASE, World
from tests.servers.line import TcpLineServer
from tests.servers.postgres import postgres_server
from tests.servers.proxy import Proxy
from tests.servers.system import until

_FIRST, _SECOND, _ALL = "127.0.0.1", "127.0.0.2", "127.0.0.0/8"


@dataclass
class _Pair:
    """Two lines, of which one follows the other; `front` is in front of the one that leads, and
    `link` is between the two."""

    primary: TcpLineServer
    replica: TcpLineServer
    front: Proxy
    link: Proxy


async def failover(world: World) -> float:
    """F7. The link to the replica is cut, jobs and raw entries come in, and the replica takes over
    without them, and with entries that are long done. The old primary is dead, or lives on for
    nobody. Seconds from the takeover until the line is used again; raw entries of the tail may be
    lost, jobs may not."""
    pair, rng = world.extras["pair"], world.rng
    assert isinstance(pair, _Pair)
    await world.keep_busy(rng.choice((40, 200)))
    pair.link.cut()
    await pair.link.stop()
    first = len(world.raw)
    jobs = [await world.insist(rng.choice((1, 3, 8))) for _ in range(30)]
    for _ in range(10):
        await world.push_raw(rng.randint(1, 3))
    for raw in world.raw[first:]:
        raw["certain"] = False
    await asyncio.sleep(rng.uniform(0.0, 0.5))
    dies = rng.random() < 0.5
    if dies:
        pair.primary.kill()
        pair.front.cut()
        await asyncio.sleep(rng.uniform(0.0, LEASE))
    await pair.replica.lead()
    pair.front.retarget(pair.replica.port)
    seconds = await line_is_used(world)
    for job in jobs:
        await until(world.is_final(job), 60, f"{job} is final, after a failover")
    await _turned(pair, restart=dies)
    return seconds


async def _turned(pair: _Pair, *, restart: bool) -> None:
    """What was the primary follows what was the replica."""
    pair.primary, pair.replica = pair.replica, pair.primary
    if restart:
        await pair.replica.start()
    pair.link.retarget(pair.primary.port)
    await pair.link.start()
    await pair.replica.follow(pair.link.port)


@asynccontextmanager
async def _with_a_replica(site: Site) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        lines = [TcpLineServer(site.folder / name) for name in ("a", "b")]
        for line in lines:
            stack.push_async_callback(line.stop)
            await line.start()
        front, link = Proxy(lines[0].port), Proxy(lines[0].port)
        for proxy in (front, link):
            await proxy.start()
            stack.push_async_callback(_stopped, proxy)
        await lines[1].follow(link.port)
        world = World(
            site.folder, site.rng, ledger_url=await site.ledger_url(), quirks={"delay": 0.1},
            redis_url=f"redis://127.0.0.1:{front.port}/0",
        )  # fmt: skip
        world.extras["pair"] = _Pair(lines[0], lines[1], front, link)
        async with running(world):
            yield world


async def _stopped(proxy: Proxy) -> None:
    with suppress(OSError):
        await proxy.stop()


async def partition(world: World) -> float:
    """F14. Packets to one of ledger, line and directory are dropped, or those from it, or both; for
    the second worker, for all others, or for all. Requests go on meanwhile; seconds from the end of
    that until all is used again."""
    rng, ports = world.rng, world.extras["ports"]
    which = rng.choice(sorted(ports))
    whose = _ALL if which == "directory" else rng.choice((_FIRST, _SECOND, _SECOND, _ALL))
    rules = [("-d", whose, "--dport", ports[which]), ("-s", whose, "--sport", ports[which])]
    chosen = rng.choice((rules[:1], rules[1:], rules))
    await world.keep_busy()
    for rule in chosen:
        await _iptables("-A", *rule)
    counts = [rng.choice((1, 2, 5)) for _ in range(rng.randint(1, 6))]
    asking = [asyncio.create_task(world.submit(count)) for count in counts]
    try:
        await asyncio.sleep(rng.uniform(0.5, 4.0))
    finally:
        for rule in chosen:
            await _iptables("-D", *rule)
    began = time.monotonic()
    await line_is_used(world)
    await world.job_is_done(3)
    await all_work(world)
    seconds = time.monotonic() - began
    await asyncio.gather(*asking)
    return seconds


async def all_work(world: World) -> None:
    """No worker has ended, and each has a session."""
    for name in world.names:
        assert world.system.workers[name].returncode is None, f"{name} has ended"

        async def live(name: str = name) -> bool:
            return await world.session_of(name) is not None

        await until(live, 60, f"{name} has a session")


async def _iptables(verb: str, side: str, address: str, way: str, port: int) -> None:
    rule = ("INPUT", "-i", "lo", "-p", "tcp", side, address, way, str(port), "-j", "DROP")
    process = await asyncio.create_subprocess_exec("iptables", "-w", verb, *rule)
    assert await process.wait() == 0, f"iptables {verb} {rule}"


@asynccontextmanager
async def _in_a_network_of_its_own(site: Site) -> AsyncIterator[World]:
    """The runner has put this process into one; the databases of others are not in it. The second
    worker knows line and ledger by another address."""
    up = await asyncio.create_subprocess_exec("ip", "link", "set", "lo", "up")
    assert await up.wait() == 0, "there is no loopback"
    async with AsyncExitStack() as stack:
        line, url = TcpLineServer(site.folder / "line"), None
        stack.push_async_callback(line.stop)
        await line.start()
        ports = {"line": line.port}
        if site.database == "postgres":
            server = stack.enter_context(postgres_server(addresses=f"{_FIRST},{_SECOND}"))
            url, ports["ledger"] = await server.database(), server.port
        world = World(site.folder, site.rng, ledger_url=url, redis_url=line.tcp_url, workers=1)
        world.extras["ports"] = {**ports, "directory": world.directory.port}
        async with running(world):
            other = {"REDIS_URL": line.tcp_url, "BOTRIX_LEDGER_URL": url or ""}
            other = {name: text.replace(_FIRST, _SECOND) for name, text in other.items() if text}
            world.names.append("worker-2")
            await world.begin("worker-2", **other)
            yield world


def _own_network() -> tuple[str, ...]:
    """A command that gives the one after it a network of its own. Who is not root keeps its name,
    since PostgreSQL would not start as root, and gets its rights over that network alone."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return ("unshare", "--net")
    return ("unshare", "--user", "--map-current-user", "--keep-caps", "--net")


def _no_network() -> str | None:
    if sys.platform != "linux" or not all(map(shutil.which, ("unshare", "ip", "iptables"))):
        return "it takes unshare, ip and iptables; on Debian: apt-get install iproute2 iptables"
    script = "ip link set lo up && iptables -w -A INPUT -i lo -p tcp --dport 9 -j DROP"
    done = subprocess.run([*_own_network(), "sh", "-c", script], capture_output=True, check=False)
    if done.returncode:
        return f"no network of its own can be had: {done.stderr.decode()[-200:].strip()}"
    return None


FAULTS = (
    Fault("F7", "failover that loses the tail", failover, 2, 50, per_world=10,
          arena=_with_a_replica),
    Fault("F14", "partition", partition, 6, 120, per_world=20, arena=_in_a_network_of_its_own,
          needs=_no_network, wrap=_own_network()),
)  # fmt: skip
