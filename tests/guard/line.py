"""What the line is asked to do: round trips, commands (those inside of scripts as well), and the
bytes that it keeps of a job that waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from botrix.line import keys
from botrix.line.entries import encode
from botrix.line.events import Event
from botrix.line.line import Back, Line, New, Placing
from botrix.line.server import LineServer
from botrix.line.shown import Update
from botrix.model import Lane, NewJob
from tests.guard.ledger import Counts
from tests.guard.relay import before_line

_WAITING = 10_000
_FIRST_PLACE = 1_000_000_000
"""As long as places get in a ledger that was used for years."""


class Watched:
    """A server of its own, empty. `url`: by which the program that is watched reaches it."""

    def __init__(self, folder: Path) -> None:
        socket = folder / "line.sock"
        self.server = LineServer(folder / "line", socket)
        self._relay = before_line(folder / "watched.sock", socket)
        self.url = f"unix://{folder / 'watched.sock'}"
        self.redis = Redis.from_url(self.server.url, decode_responses=True)

    async def seen(self) -> Counter[str]:
        """Since the beginning, but for what was asked here."""
        told = await self.redis.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): row["calls"] for name, row in told.items()}
        commands = sum(n for name, n in calls.items() if name not in _OURS)
        return Counter({**self._relay.seen, "commands": commands})

    async def close(self) -> None:
        await self.redis.aclose()
        await self.server.stop()


_OURS = {"info", "memory|usage", "hello", "client|setinfo", "client|setname", "ping", "select"}
"""Of who looks, and of beginning a connection."""


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Watched]:
    (folder / "line").mkdir()
    made = Watched(folder)
    await made.server.start()
    try:
        yield made
    finally:
        await made.close()


async def verbs(folder: Path) -> Counts:
    """Each counted once it has been said before."""
    async with watched(folder) as here:
        line = Line.open(here.url)
        try:
            counts: Counts = {}
            for turn in ("a", "b"):
                for n in (1, 128):
                    counts |= await _turn(here, line, turn, n)
            return counts | {f"{_WAITING:,} that wait": await _kept(here, line)}
        finally:
            await line.close()


async def _turn(here: Watched, line: Line, turn: str, n: int) -> Counts:
    """n jobs on their way through the line."""
    jobs = [NewJob(f"{turn}-{n}-{number:03}", 1) for number in range(n)]
    counts: Counts = {}

    @asynccontextmanager
    async def counted(what: str) -> AsyncIterator[None]:
        before = await here.seen()
        yield
        counts[f"{what} of {n}"] = dict((await here.seen()) - before)

    places = [Placing(job.id, number + 1, job.lane) for number, job in enumerate(jobs)]
    async with counted("push"):
        await line.push(places)
    async with counted("take"):
        taken = await line.take("s", "1", n)
    back = [Back(one.lane, one.raw, head=False) for one in taken]
    async with counted("settle and take, all with work left,"):
        taken = await line.settle_and_take("s", "1", back, [], n)
    async with counted("settle and take, all done,"):
        await line.settle_and_take("s", "1", [], [], n)
    new = [New("default", f"new{n}", "{}", Lane.LOW, n + 1) for n in range(n)]
    async with counted("enter"):
        await line.enter(new)
    await here.redis.delete(keys.LANES[Lane.LOW])
    async with counted("publish"):
        await line.publish([_update(job) for job in jobs])
    if len(taken) != n:
        raise RuntimeError(f"{len(taken)} of {n} entries were taken")
    return counts


def _update(job: NewJob) -> Update:
    return Update(job.tenant_id, job.id, "running", None, Event.of_new(job).text())


async def _kept(here: Watched, line: Line) -> dict[str, float]:
    """Bytes of each of so many jobs; their ids are as long as those of the API."""
    await here.redis.flushall()
    jobs = [NewJob(f"job_{number:020}", 1) for number in range(_WAITING)]
    places = [Placing(job.id, _FIRST_PLACE + n, Lane.NORMAL) for n, job in enumerate(jobs)]
    for start in range(0, _WAITING, 500):
        await line.push(places[start : start + 500])
    queue = await here.redis.memory_usage(keys.QUEUE, samples=0)
    before = (await here.redis.info("memory"))["used_memory_dataset"]
    for start in range(0, _WAITING, 500):
        await line.publish([_update(job) for job in jobs[start : start + 500]])
    after = (await here.redis.info("memory"))["used_memory_dataset"]
    entry = len(encode(places[0].id, places[0].place))
    return {
        "bytes of an entry": entry,
        "bytes in the lane, each": round(queue / _WAITING, 1),
        "bytes of status and event, each": round((after - before) / _WAITING, 1),
    }
