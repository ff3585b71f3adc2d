"""Faults that a machine does to a worker: its process ends at any system call, stands still with
all its threads, or is killed because memory ran out.

strace(1) and control groups do what no signal can: one counts system calls in the kernel, the
others stop or kill a group at a moment that its processes do not choose. Both need Linux, and
control groups need root.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import psutil

from tests.faults import clocks, full
from tests.faults.fault import Fault, arena
from tests.faults.world import LEASE, World, stop_now
from tests.servers import cgroups
from tests.servers.system import until

_ACCOUNTS = 3
_CALLS = (
    "read,write,readv,writev,pread64,pwrite64,sendto,sendmsg,recvfrom,recvmsg,connect,socket,openat,"
    "close,fcntl,fsync,fdatasync,ftruncate,mmap,munmap"
)
"""Those that others can see, or that give or take something; the rest only waits and asks."""
_TOO_LITTLE = 512 << 10
"""Bytes; a worker needs some megabytes more for a job."""


async def killed_at_a_call(world: World) -> float | None:
    """F2. A worker ends at the K-th system call of one of its threads while it does a job, and a
    new one ends the job. K and the thread are drawn from what an undisturbed job was seen to do:
    every call of it is as likely. Seconds from the new worker's start, if there was work left."""
    counts = world.extras.get("calls") or await _calls_of_a_job(world)
    world.extras["calls"] = counts
    name, threads = world.names[0], await _warm_threads(world)
    number = world.rng.choices(range(len(counts)), counts)[0] % len(threads)
    when = world.rng.randint(1, counts[number])
    inject = ("-e", f"inject={_CALLS}:signal=KILL:when={when}", "-o", os.devnull)
    process = world.system.workers[name]
    async with _standing_still(world) as job:
        tracer = await _traced(threads[number], *inject)

    async def over() -> bool:
        return process.returncode is not None or await world.is_final(job)()

    await until(over, 30, f"{name} ends at call {when} of thread {number}, or {job} is final")
    await world.end(name)  # where it came through with fewer calls than were counted
    await _ended(tracer)
    in_time = not await world.is_final(job)()
    counts[number] = counts[number] + 2 if in_time else max(1, (counts[number] + when) // 2)
    began = time.monotonic()
    await world.replace(name)
    await until(world.is_final(job), 30, f"{job} is final, killed at call {when} of {number}")
    rows = world.system.rows("SELECT status, created FROM jobs WHERE id = ?", job)
    assert rows == [("completed", _ACCOUNTS)], rows
    return time.monotonic() - began if in_time else None


async def _calls_of_a_job(world: World) -> list[int]:
    """How many system calls each thread makes while a job is done, in the order of the threads."""
    threads = await _warm_threads(world)
    logs = [world.folder / f"calls-{thread}" for thread in threads]
    async with _standing_still(world) as job:
        tracers = [
            await _traced(thread, "-o", str(log)) for thread, log in zip(threads, logs, strict=True)
        ]
    await until(world.is_final(job), 30, f"{job} is final")
    for tracer in tracers:
        await _ended(tracer)
    calls = [len(log.read_text(errors="replace").splitlines()) for log in logs]
    return [max(1, n // 2) for n in calls]  # a log makes a job slow: many are of other parts


@asynccontextmanager
async def _standing_still(world: World) -> AsyncIterator[str]:
    """A worker that finds a new job when it goes on, so that its first call is one of the job's. It
    must not stand still inside a transaction, where on SQLite no job could be accepted."""
    pid = world.pid(world.names[0])
    for _ in range(100):
        stop_now(pid, signal.SIGSTOP)
        if not await asyncio.to_thread(_locked, world.system.direct_url):
            break
        stop_now(pid, signal.SIGCONT)
        await asyncio.sleep(0.01)
    try:
        yield await world.insist(_ACCOUNTS)
    finally:
        stop_now(pid, signal.SIGCONT)


def _locked(url: str) -> bool:
    if not url.startswith("sqlite"):
        return False
    path = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, timeout=0.1, isolation_level=None)) as db:
        try:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return True
    return False


async def _warm_threads(world: World) -> list[int]:
    """Of a worker that has done a job, and so has all its threads; in the order of their start."""
    await world.job_is_done(1)
    return sorted(thread.id for thread in psutil.Process(world.pid(world.names[0])).threads())


async def _traced(thread: int, *options: str) -> Process:
    """One thread, since strace counts the calls of each by itself; returns once it is traced."""
    tracer = await asyncio.create_subprocess_exec(
        "strace",
        "-qq",
        "-e",
        f"trace={_CALLS}",
        *options,
        "-p",
        str(thread),
        stdout=DEVNULL,
        stderr=DEVNULL,
    )

    await until(_attached(tracer.pid, thread), 10, f"strace is attached to {thread}")
    return tracer


def _attached(tracer: int, thread: int) -> Callable[[], Awaitable[bool]]:
    status = Path(f"/proc/{thread}/status")

    async def attached() -> bool:
        try:
            return f"TracerPid:\t{tracer}\n" in await asyncio.to_thread(status.read_text)
        except (FileNotFoundError, ProcessLookupError):
            return True  # killed at its first calls

    return attached


async def _ended(tracer: Process) -> None:
    """SIGINT lets go of the thread; one that was killed has ended its tracer already."""
    if tracer.returncode is None:
        stop_now(tracer.pid, signal.SIGINT)
    await asyncio.wait_for(tracer.wait(), 10)


async def frozen(world: World) -> float:
    """F4. A group of processes stands still past the lease, as a container that is paused does: one
    worker, all workers, or the API as well. Seconds until all of them work again."""
    await world.keep_busy()
    rng, pids = world.rng, {name: world.pid(name) for name in world.names}
    whom = rng.choice(([rng.choice(world.names)], world.names, [*world.names, "api"]))
    api = world.system.supervisor.processes["api"]
    with cgroups.group("freezer") as group:
        group.enter(pids.get(name, api.pid) for name in whom)
        group.freeze(frozen=True)
        try:
            await until(_is_frozen(group), 10, "the group is frozen")
            await asyncio.sleep(LEASE * rng.uniform(1.1, 3.0))
        finally:
            group.freeze(frozen=False)
        began = time.monotonic()
        for name in world.names:
            await until(_live(world, name), 60, f"{name} has a session again")
        await world.job_is_done(3)
    assert {name: world.pid(name) for name in world.names} == pids
    assert all(world.system.workers[name].returncode is None for name in world.names)
    return time.monotonic() - began


async def killed_for_memory(world: World) -> float | None:
    """F4. The kernel ends a worker in the middle of its work; seconds until all that it held is in
    other hands or has its end, if it held anything."""
    await world.keep_busy()
    name = world.rng.choice(world.names)
    process, session = world.system.workers[name], await _holding(world, name)
    with cgroups.group("memory") as group:
        group.bound_memory(_TOO_LITTLE)
        group.enter([process.pid])

        async def ended() -> bool:
            await world.keep_busy(100)
            return process.returncode is not None

        await until(ended, 30, f"{name} is out of memory")
        assert group.killed_for_memory() == 1
    assert process.returncode == -signal.SIGKILL, f"{name} ended with {process.returncode}"
    await world.end(name)
    held = world.held_by(session)
    seconds = await world.taken_up(held)
    await world.replace(name)
    return seconds if held else None


async def _holding(world: World, name: str) -> str:
    """The session of a worker, once accounts are leased to it."""
    found: list[str] = []

    async def holds() -> bool:
        session = await world.session_of(name)
        await world.keep_busy(100)
        found.extend([session] if session and world.held_by(session) else [])
        return bool(found)

    await until(holds, 60, f"{name} holds accounts")
    return found[0]


def _is_frozen(group: cgroups.Group) -> Callable[[], Awaitable[bool]]:
    async def frozen() -> bool:
        return group.is_frozen()

    return frozen


def _live(world: World, name: str) -> Callable[[], Awaitable[bool]]:
    async def live() -> bool:
        return await world.session_of(name) is not None

    return live


async def frozen_or_out_of_memory(world: World) -> float | None:
    """F4. In turn; where each database gets one trial, each of the two is tried."""
    first = world.system.direct_url.startswith("sqlite")
    turn = world.marks["turn"] = world.marks.get("turn", int(first)) + 1
    return await (frozen, killed_for_memory)[turn % 2](world)


def _no_strace() -> str | None:
    if sys.platform != "linux" or shutil.which("strace") is None:
        return "there is no strace(1); on Debian: apt-get install strace"
    return None


def _no_groups() -> str | None:
    return cgroups.missing("freezer") or cgroups.missing("memory")


FAULTS = (
    Fault("F2", "worker killed at a system call", killed_at_a_call, 12, 600, needs=_no_strace,
          arena=arena(workers=1)),
    Fault("F4", "workers frozen, or killed for memory", frozen_or_out_of_memory, 2, 30,
          per_world=15, needs=_no_groups),
    *full.FAULTS,
    *clocks.FAULTS,
)  # fmt: skip
