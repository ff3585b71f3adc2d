"""Faults of worker processes: killed, stopped and woken late, told to end, killed by one account.

A peer knows a dead worker by its beat alone; a new worker on the same host knows it by its pid.
Both ways are gone, by chance.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing

import psutil

from tests.faults.fault import Fault, arena
from tests.faults.world import LEASE, World, stop_now, watched
from tests.servers.system import until

GRACE = 5.0


async def killed(world: World) -> float:
    """F1. Seconds until all that it held is in other hands or has its end."""
    await world.keep_busy()
    name = world.rng.choice(world.names)
    session = await _holding(world, name)
    await asyncio.sleep(world.rng.uniform(0.0, 0.2))
    await world.end(name)
    held = world.held_by(session)
    if world.rng.random() < 0.5:
        await world.replace(name)
        return await world.taken_up(held)
    seconds = await world.taken_up(held)
    await world.replace(name)
    return seconds


async def stopped(world: World) -> float | None:
    """F3. A worker stands still past its lease, is declared lost, and wakes when all is given to
    another; seconds from waking until it has a session again. Half the answers to `find` are slow,
    so that it often stands still between the look and the call. (One that stands still inside a
    transaction on SQLite keeps the whole file locked; that is not promised to be survived.)"""
    await world.keep_busy()
    name = world.rng.choice(world.names)
    session = await _holding(world, name)
    await asyncio.sleep(world.rng.uniform(0.0, 0.3))
    pid = world.pid(name)
    stop_now(pid, signal.SIGSTOP)
    try:
        if _file_is_locked(world):
            return None
        held = world.held_by(session)
        await until(_lost(world, session), 10 * LEASE, "the session is declared lost")
        await world.taken_up(held)
        await asyncio.sleep(world.rng.uniform(0.0, LEASE))
    finally:
        stop_now(pid, signal.SIGCONT)
    return await watched(_live(world, name), 20, f"{name} has a session again")


async def told_to_end(world: World) -> float:
    """F18. SIGTERM with accounts under way; sometimes a second one. Exit 0, nothing counted, a
    successor takes over; seconds until the exit."""
    await world.keep_busy()
    name = world.rng.choice(world.names)
    session = await _holding(world, name)
    process, began = world.system.workers.pop(name), time.monotonic()
    process.send_signal(signal.SIGTERM)
    if world.rng.random() < 0.3:
        await asyncio.sleep(world.rng.uniform(0.0, 0.2))
        stop_now(process.pid, signal.SIGTERM)
    code = await asyncio.wait_for(process.wait(), GRACE + 5)
    seconds = time.monotonic() - began
    world.ended[name] = time.monotonic()
    assert code == 0, f"{name} ended with {code}"
    await until(_without_leases(world, session), 5, "nothing is leased to a session that ended")
    await world.replace(name)
    return seconds


async def told_to_end_before_a_hung_directory(world: World) -> None:
    """F18. Never past the grace, and what was under way is handed back uncounted."""
    await world.keep_busy()
    await world.directory.misbehave(delay=0.01, rules=[_HANG, {**_HANG, "on": "find"}])
    name, session = await _anybody_holding(world)
    process, began = world.system.workers.pop(name), time.monotonic()
    process.send_signal(signal.SIGTERM)
    code = await asyncio.wait_for(process.wait(), GRACE + 10)
    seconds = time.monotonic() - began
    world.ended[name] = time.monotonic()
    await world.directory.misbehave(delay=0.01)
    assert code == 0, f"{name} ended with {code}"
    assert seconds <= GRACE + 1, f"{name} took {seconds:.1f} s of {GRACE} s"  # 1 s: the interpreter
    await until(_without_leases(world, session), 5, "nothing is leased to a session that ended")
    await world.replace(name)


async def poisoned(world: World) -> float:
    """F19. One account of a roster kills whoever works on it. It is set aside after three losses,
    its neighbours are created; seconds until then."""
    mark = f"poison-{world.rng.getrandbits(32):08x}"
    hang = {**_HANG, "match": mark}
    await world.directory.misbehave(delay=0.01, rules=[hang, {**hang, "on": "find"}])
    began = time.monotonic()
    job = await world.submit_roster([f"{mark}-a", *(f"good-{mark[7:]}-{n}" for n in range(8))])

    async def over() -> bool:
        await _kill_who_calls(world, mark)
        rows = world.system.rows("SELECT 1 FROM jobs WHERE id = ? AND status = 'failed'", job)
        return bool(rows)

    await until(over, 90, "the poisonous account is set aside")
    rows = world.system.rows("SELECT status, reason, crashes FROM accounts WHERE job_id = ?", job)
    assert sum(status == "created" for status, _, _ in rows) == 8, rows
    assert [row for row in rows if row[0] != "created"] == [("failed", "poison", 3)], rows
    await world.directory.misbehave(delay=0.01)
    return time.monotonic() - began


async def _kill_who_calls(world: World, mark: str) -> None:
    """The worker whose connection a call for this name came in on, if it lives."""
    seen = world.marks.setdefault(mark, 0)
    calls = [call for call in world.directory.calls()[seen:] if call["fault"] == "hang"]
    world.marks[mark] = len(world.directory.calls())
    ports = {call["port"] for call in calls}
    for name in list(world.names):
        process = world.system.workers.get(name)
        if process is None or process.returncode is not None:
            continue
        mine = {c.laddr.port for c in psutil.Process(process.pid).net_connections() if c.laddr}
        if mine & ports:
            await world.end(name)
            await world.replace(name)


async def _holding(world: World, name: str) -> str:
    """The session of a worker, once accounts are leased to it."""
    found: list[str] = []

    async def holds() -> bool:
        session = await world.session_of(name)
        if session and world.held_by(session):
            found.append(session)
        elif not world.open_accounts():
            await world.keep_busy()
        return bool(found)

    await until(holds, 60, f"{name} holds accounts")
    return found[-1]


async def _anybody_holding(world: World) -> tuple[str, str]:
    found: list[tuple[str, str]] = []

    async def holds() -> bool:
        for name in world.names:
            session = await world.session_of(name)
            if session and world.held_by(session):
                found.append((name, session))
        return bool(found)

    await until(holds, 60, "a worker holds accounts")
    return world.rng.choice(found)


def _lost(world: World, session: str) -> Callable[[], Awaitable[bool]]:
    async def lost() -> bool:
        return not world.system.rows(
            "SELECT 1 FROM sessions WHERE id = ? AND status = 'live'", session
        )

    return lost


def _file_is_locked(world: World) -> bool:
    url = world.system.direct_url
    if not url.startswith("sqlite"):
        return False
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=1.0)) as db:
        db.isolation_level = None
        try:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return True
    return False


def _live(world: World, name: str) -> Callable[[], Awaitable[bool]]:
    async def live() -> bool:
        return await world.session_of(name) is not None

    return live


def _without_leases(world: World, session: str) -> Callable[[], Awaitable[bool]]:
    async def without() -> bool:
        return not world.held_by(session)

    return without


LARGE_JOBS, LARGE_JOB, KILL_EACH = 100, 1000, 95


async def killed_in_large_jobs(world: World) -> float:
    """F1. A worker is killed for each 95 accounts that are created of a hundred thousand;
    seconds until what it held is free again (its turn comes when that of its job does)."""
    if not world.marks:
        for _ in range(LARGE_JOBS):
            await world.insist(LARGE_JOB)
    world.marks["kills"] = kills = world.marks.get("kills", 0) + 1

    async def so_many() -> bool:
        await asyncio.sleep(0.05)  # counting so many rows is no small work
        return world.created() >= kills * KILL_EACH - KILL_EACH // 2 or not world.open_accounts()

    await until(so_many, 100, f"{kills * KILL_EACH} accounts are created")
    name, session = await _anybody_holding(world)
    await world.end(name)
    await world.replace(name)
    return await watched(_without_leases(world, session), 20, "its accounts are free again")


async def all_are_created(world: World) -> None:
    """What random kills made look like poison is asked for once more, as an operator would."""
    for _ in range(10):
        await world.settle(600)
        failed = world.system.rows("SELECT id FROM jobs WHERE status = 'failed'")
        if not failed:
            break
        for (job,) in failed:
            await world.system.post(f"/api/jobs/{job}/retry", {}, 202)
    assert world.created() == LARGE_JOBS * LARGE_JOB


_HANG = {"do": "hang"}
_SLOW_LOOKS = {"rules": [{"do": "slow", "on": "find", "share": 0.5, "seconds": 0.3},
                         {"do": "slow", "on": "create", "share": 0.2, "seconds": 0.3}]}  # fmt: skip
_DEFAULT_LEASES = {"BOTRIX_LEASE": "15", "BOTRIX_BEAT": "5"}
_GRACE = {"BOTRIX_GRACE": str(GRACE)}
FAULTS = (
    Fault("F1", "worker killed", killed, 50, 1000),
    Fault("F1-default", "worker killed, with default leases (15 s)", killed, 0, 40,
          per_world=20, arena=arena(environ=_DEFAULT_LEASES)),
    Fault("F1-large", "1,000 kills over 100,000 accounts", killed_in_large_jobs, 0, 1000,
          per_world=1000, databases=("postgres",), reveal=LARGE_JOBS * LARGE_JOB,
          finish=all_are_created, arena=arena(workers=3, quirks={"delay": 0.15})),
    Fault("F3", "worker stopped past its lease, then woken", stopped, 20, 300, per_world=20,
          arena=arena(quirks=_SLOW_LOOKS)),
    Fault("F18", "worker told to end", told_to_end, 18, 260, arena=arena(environ=_GRACE)),
    Fault("F18-hung", "worker told to end before a hung directory",
          told_to_end_before_a_hung_directory, 2, 40, per_world=5,
          arena=arena(environ={**_GRACE, "BOTRIX_REQUEST_TIMEOUT": "8"})),
    Fault("F19", "an account that kills its worker", poisoned, 2, 40, per_world=10),
)  # fmt: skip
