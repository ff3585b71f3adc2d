"""Faults of clocks: of one worker beside others, and of the database, which jumps.

Only the ledger's clock says when a retry is due, and no decision compares two clocks. On SQLite the
ledger's clock is that of the processes on its one host, so that there it jumps for all of them; on
PostgreSQL it is the server's. It jumps forward while retries are pending, which are due then, and
back when none is: a clock that is set back by a day delays the retries pending by a day.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.faults.fault import Fault, Site, running
from tests.faults.world import World
from tests.servers import clock
from tests.servers.clock import Clock
from tests.servers.postgres import postgres_server
from tests.servers.system import until

_MINUTES, _DAY = 600, 86_400
_JUMPS = (_MINUTES, -_MINUTES, _DAY, -_DAY)
_BOUND = 10.0
"""Seconds within which a retry that is due is made, on a busy machine."""
_PENDING = 12
_LATER = {"BOTRIX_BACKOFF_BASE": "120", "BOTRIX_BACKOFF_CAP": "120"}
_CALM = {"BOTRIX_LEASE": "4", "BOTRIX_BEAT": "0.5"}
"""Leases that a busy machine does not end by itself, for here none may end wrongly."""
_RETRIES = {"delay": 0.01, "rules": [{"do": "503", "share": 0.3}]}


async def wrong_clock(world: World) -> float | None:
    """F15. A worker whose clock is wrong works beside one with the right clock; nobody is declared
    lost. Then one of the two is killed: seconds until all that it held, if anything, is in other
    hands."""
    rng, offset = world.rng, world.rng.choice(_JUMPS)
    wrong, right = rng.sample(world.names, 2)
    await _killed(world, wrong)
    _clock(world).offset = offset
    wrong = await _replaced(world, wrong, **_clock(world).environ)
    for name in (wrong, right):
        await until(_has_done_something(world, name), 30, f"{name} works, {offset:+d} s")
    assert not _lost(world), f"a session was declared lost, with a clock of {offset:+d} s"
    victim = rng.choice((wrong, right))
    await world.keep_busy(100)
    held = await _killed(world, victim)
    seconds = await world.taken_up(held)
    for name in {victim, wrong}:
        if name != victim:
            await _killed(world, name)
        await _replaced(world, name)
    await world.job_is_done(3)
    return seconds if held else None


async def ledgers_clock_jumps(world: World) -> float:
    """F15. Forward while retries are pending: seconds until all of them are made. Back while work
    goes on: nobody is declared lost, and the work is done."""
    forward = world.rng.choice((_MINUTES, _DAY))
    await world.directory.misbehave(delay=0.01, rules=[{"do": "500"}])
    job = await world.insist(_PENDING)
    await until(_waits(world, job), 30, f"all accounts of {job} wait for a retry")
    await world.directory.misbehave(delay=0.01)
    assert not await world.is_final(job)(), f"{job} has waited for nothing"
    ledgers = _clock(world)
    ledgers.offset += forward
    began = time.monotonic()
    await until(world.is_final(job), _BOUND, f"{job} is final, its retries are due")
    seconds = time.monotonic() - began
    await _nothing_waits(world)
    busy = asyncio.create_task(world.keep_busy(60))
    ledgers.offset -= world.rng.choice((forward, _MINUTES, _DAY))
    await busy
    await world.job_is_done(5, within=30)
    await _nothing_waits(world)
    assert not _lost(world), f"a session was declared lost, after a jump of {forward} s and back"
    return seconds


async def _killed(world: World, name: str) -> list[tuple[str, int, int]]:
    """What it held."""
    session = await world.session_of(name) or ""
    world.extras.setdefault("killed", set()).add(session)
    await world.end(name)
    return world.held_by(session)


async def _replaced(world: World, name: str, **environ: str) -> str:
    """The name of the new one, once it has a session."""
    at = world.names.index(name)
    await world.replace(name, **environ)
    new = world.names[at]

    async def live() -> bool:
        return await world.session_of(new) is not None

    await until(live, 30, f"{new} has a session")
    return new


def _lost(world: World) -> set[str]:
    """Sessions declared lost whose workers were not killed."""
    rows = world.system.rows("SELECT id FROM sessions WHERE status = 'lost'")
    return {row[0] for row in rows} - world.extras.setdefault("killed", set())


def _has_done_something(world: World, name: str) -> Callable[[], Awaitable[bool]]:
    async def has() -> bool:
        await world.keep_busy(20)
        return bool(
            world.system.rows(
                "SELECT 1 FROM changes a JOIN sessions s ON s.id = a.session WHERE s.worker_id = ?"
                " AND a.kind = 'account' AND a.new_status = 'created' LIMIT 1", name
            )
        )  # fmt: skip

    return has


def _waits(world: World, job: str) -> Callable[[], Awaitable[bool]]:
    async def waits() -> bool:
        rows = world.system.rows(
            "SELECT count(*) FROM accounts WHERE job_id = ? AND not_before > 0 AND tries > 0"
            " AND status IN ('planned', 'unsure')", job
        )  # fmt: skip
        return rows == [(_PENDING,)]

    return waits


async def _nothing_waits(world: World) -> None:
    async def nothing() -> bool:
        return world.system.rows("SELECT count(*) FROM jobs WHERE finished_at IS NULL") == [(0,)]

    await until(nothing, 30, "all jobs are final")


def _clock(world: World) -> Clock:
    found = world.extras["clock"]
    assert isinstance(found, Clock)
    return found


@asynccontextmanager
async def _beside_a_wrong_clock(site: Site) -> AsyncIterator[World]:
    """The clock is for those workers that are started with it."""
    url = await site.ledger_url()
    world = World(site.folder, site.rng, ledger_url=url, environ=_CALM, quirks=_RETRIES)
    world.extras["clock"] = Clock(site.folder)
    async with running(world):
        yield world


@asynccontextmanager
async def _with_a_clock_to_set(site: Site) -> AsyncIterator[World]:
    wrong, options = Clock(site.folder), {**_CALM, **_LATER}
    if site.database == "sqlite":
        world = World(site.folder, site.rng, environ={**options, **wrong.environ})
        world.extras["clock"] = wrong
        async with running(world):
            yield world
        return
    with postgres_server() as server:
        server.stop()
        server.environ = wrong.environ
        server.start()
        world = World(site.folder, site.rng, ledger_url=await server.database(), environ=options)
        world.extras["clock"] = wrong
        async with running(world):
            yield world


FAULTS = (
    Fault("F15", "clock of a worker wrong", wrong_clock, 4, 40, per_world=10,
          databases=("postgres",), arena=_beside_a_wrong_clock, needs=clock.missing),
    Fault("F15-jump", "clock of the ledger jumps", ledgers_clock_jumps, 4, 40, per_world=10,
          arena=_with_a_clock_to_set, needs=clock.missing),
)  # fmt: skip
