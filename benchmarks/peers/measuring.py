"""The measures, the same for all. Each is a dictionary of figures of one run."""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import Process
from collections import Counter
from dataclasses import dataclass

import psutil

from benchmarks.peers.peer import Peer
from benchmarks.peers.place import Place, cpu_of, family, kill, place
from tests.servers.postgres import PostgresServer

Figures = dict[str, float]


@dataclass(frozen=True)
class Size:
    """jobs: that are drained, `single` of them put in one by one; samples: of the latency at idle,
    so many seconds apart; crash: jobs, of which the worker is killed amid."""

    jobs: int = 20_000
    single: int = 2_000
    samples: int = 150
    gap: float = 0.1
    crash: int = 1_000
    slow: float = 0.02
    patience: float = 120.0


async def drained(peer: Peer, postgres: PostgresServer | None, size: Size) -> Figures:
    """Rates of submission, alone and in bulk, and of one worker that finds all of it waiting."""
    async with place(peer, postgres, BENCH_TOTAL=size.jobs) as here:
        figures = await _filled(here, size)
        await here.broker.settled()
        return figures | await _worked_off(here, size)


async def _filled(here: Place, size: Size) -> Figures:
    await here.tell("left")  # the hand is up
    single = await here.tell("one", 0, size.single)
    before = await here.broker.bytes()
    bulk = await here.tell("many", size.single, rest := size.jobs - size.single)
    return {
        "single": size.single / single["seconds"],
        "bulk": rest / bulk["seconds"],
        "bytes": (await here.broker.bytes() - before) / rest,
    }


async def _worked_off(here: Place, size: Size) -> Figures:
    worker = await here.worker()
    ((_, first), *_) = await here.noted(1, 60)
    spent = _spent(here, worker)
    await here.noted(2, 900)
    last = await here.settled(60)
    after = _spent(here, worker)
    if last is None:
        raise RuntimeError(f"{here.peer.title} did not settle its jobs")
    per_thousand = 1e6 / size.jobs  # milliseconds
    return {
        "drain": size.jobs / (last - first),
        "cpu worker": (after[0] - spent[0]) * per_thousand,
        "cpu broker": (after[1] - spent[1]) * per_thousand,
    } | _memory(worker)


def _spent(here: Place, worker: Process) -> tuple[float, float]:
    return cpu_of(worker.pid), here.broker.cpu()


def _memory(worker: Process) -> Figures:
    """MiB of the worker with all its processes; `pss` counts what they share only once."""
    rss = pss = 0
    for one in family(worker.pid):
        try:
            told = one.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        rss, pss = rss + told.rss, pss + told.pss
    return {"rss": rss / 2**20, "pss": pss / 2**20}


async def idle(peer: Peer, postgres: PostgresServer | None, size: Size) -> list[float]:
    """Milliseconds from before a job is put in until it is run, where there is no other."""
    warm = 10
    async with place(peer, postgres, BENCH_MODE="each") as here:
        await here.tell("left")  # the hand is up, and has laid out what the worker expects
        await here.worker()
        await here.tell("one", 0, 1)
        await here.noted(1, 60)
        told = await here.tell("idle", 1, n := warm + size.samples, size.gap)
        notes = await here.noted(1 + n, 60)
        began, ran = told["told"], [at for _, at in notes[1:]]
        took = [(end - start) * 1e3 for start, end in zip(began, ran, strict=True)]
        return took[warm:]


async def crashed(peer: Peer, postgres: PostgresServer | None, size: Size) -> Figures:
    """Jobs that take a while; the worker is killed when a quarter are done, and another is started
    at once. Seconds from then to the end of the last; jobs that never ran, or more than once."""
    async with place(peer, postgres, BENCH_MODE="each", BENCH_SLOW=size.slow) as here:
        await here.tell("many", 0, size.crash)
        worker = await here.worker()
        killed = (await here.noted(size.crash // 4, 60))[-1][1]
        await kill(worker)
        await here.worker()
        ended = await _ended(here, size)
        runs = Counter(number for number, _ in here.notes())
        return {
            "recovery": ended - killed,
            "lost": size.crash - len(runs),
            "doubled": sum(n > 1 for n in runs.values()),
        }


async def _ended(here: Place, size: Size) -> float:
    """When each job had run and none was left, or patience was. A peer that gives a job back may
    for a while count it nowhere, so that it counts none is not enough."""
    deadline = time.monotonic() + size.patience
    while len({number for number, _ in here.notes()}) < size.crash:
        if time.monotonic() > deadline:
            return deadline
        await asyncio.sleep(0.02)
    return await here.settled(max(0.0, deadline - time.monotonic())) or deadline
