"""What a fault is, and how its trials are run: in a world that is kept busy, checked at its end.

A trial injects the fault once, waits until its effect is over, and answers how many seconds that
took (None where there is nothing to measure). It asserts what holds at once; what must hold in the
end is for the history checker. A world is used for some trials, then settled, then checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.faults.history import check
from tests.faults.world import World
from tests.servers.postgres import PostgresServer

Trial = Callable[[World], Awaitable[float | None]]


@dataclass
class Site:
    """Where a world is made: a folder with a short path, a seeded generator, a server to have
    databases from, and which of the databases it is to be."""

    folder: Path
    rng: random.Random
    postgres: Callable[[], PostgresServer]
    database: str

    async def ledger_url(self) -> str | None:
        """A fresh database; None for SQLite, whose file the system makes itself."""
        return await self.postgres().database() if self.database == "postgres" else None


Arena = Callable[[Site], AbstractAsyncContextManager[World]]


def arena(**options: Any) -> Arena:
    """A world that needs nothing special; options are those of World."""

    @asynccontextmanager
    async def made(site: Site) -> AsyncIterator[World]:
        url = await site.ledger_url()
        async with running(World(site.folder, site.rng, ledger_url=url, **options)) as world:
            yield world

    return made


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    try:
        await world.start()
        yield world
    finally:
        await world.stop()


async def _settled(world: World) -> None:
    await world.settle(90)


@dataclass(frozen=True)
class Fault:
    """short, long: trials in the suite and in the storm. each: accounts or entries of one trial,
    where the matrix counts those. per_world: trials before a world is checked. needs: why it cannot
    be tried on this machine, or None. wrap: a command before the runner, such as unshare. reveal:
    of how many accounts the password is tried. finish: what brings a world to rest. suite: which
    required suite it belongs to, besides that of all faults."""

    id: str
    title: str
    trial: Trial
    short: int
    long: int
    each: int = 1
    per_world: int = 50
    databases: tuple[str, ...] = ("sqlite", "postgres")
    arena: Arena = field(default_factory=arena)
    needs: Callable[[], str | None] = lambda: None
    wrap: tuple[str, ...] = ()
    reveal: int = 30
    finish: Callable[[World], Awaitable[None]] = _settled
    suite: str = "Faults"


@dataclass
class Report:
    """Of some trials of one fault."""

    fault: str
    trials: int = 0
    seconds: float = 0.0
    recoveries: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        self.trials += other.trials
        self.seconds += other.seconds
        self.recoveries += other.recoveries
        self.violations += other.violations


async def run(
    fault: Fault, trials: int, seed: str, postgres: Callable[[], PostgresServer], keep: Path
) -> Report:
    """Shared among the databases of the fault; what a failing world left is kept for looking at."""
    report = Report(fault.id)
    share = min(fault.per_world, max(1, -(-trials // len(fault.databases))))
    while report.trials < trials and not report.violations:
        number = report.trials // share
        database = fault.databases[number % len(fault.databases)]
        n = min(share, trials - report.trials)
        report.add(await one_world(fault, n, f"{seed}:{number}", database, postgres, keep))
    return report


async def one_world(
    fault: Fault,
    trials: int,
    seed: str,
    database: str,
    postgres: Callable[[], PostgresServer],
    keep: Path,
) -> Report:
    """seed: the same one gives the same schedule, as far as processes can be made to repeat it."""
    report, began = Report(fault.id), time.monotonic()
    with TemporaryDirectory(prefix="bx-") as name:
        site = Site(Path(name), random.Random(f"{fault.id}:{seed}"), postgres, database)
        try:
            async with fault.arena(site) as world:
                await _trials(fault, world, trials, report, keep / f"{fault.id}-{seed}-{database}")
        except Exception:
            where = f"{fault.id}, seed {seed}, {database}, after {report.trials} trials"
            report.violations.append(f"{where}: {traceback.format_exc(limit=-6)}")
    report.seconds = time.monotonic() - began
    return report


async def _trials(fault: Fault, world: World, trials: int, report: Report, keep: Path) -> None:
    try:
        for _ in range(trials):
            seconds = await asyncio.wait_for(fault.trial(world), 120)
            report.trials += 1
            report.recoveries += [] if seconds is None else [seconds]
        await fault.finish(world)
    except BaseException:
        with contextlib.suppress(Exception):
            (await world.evidence(0)).save(keep)
        raise
    evidence = await world.evidence(fault.reveal)
    violations = check(evidence)
    if violations:
        evidence.save(keep)
        shown = "; ".join(str(one) for one in violations[:20])
        report.violations.append(f"{len(violations)} of them in {keep}: {shown}")
