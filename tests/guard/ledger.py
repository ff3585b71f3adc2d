"""The hot verbs of a ledger, each counted once it has been said before."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from botrix.ledger.ledger import Asked, Ledger, Room, Submission
from botrix.model import LeasedAccount, NewJob, Person, PlannedAccount, Result
from botrix.services import open_ledger
from botrix.states import AccountStatus
from tests.guard import postgres, sqlite

Counts = dict[str, dict[str, float]]
Meter = Callable[[], Awaitable[Counter[str]]]
_ROOM = Room(5000)


class Verbs:
    """Says them, and keeps what each cost by `meter`."""

    def __init__(self, ledger: Ledger, meter: Meter) -> None:
        self._ledger = ledger
        self._meter = meter
        self.counts: Counts = {}

    async def say(self, turn: str) -> None:
        """All of them, with jobs of their own, in the order of a job's life."""
        await self._submit("submit of 1", [NewJob(f"{turn}-one", 1)])
        asked = await self._submit("submit of 128", _jobs(f"{turn}-many", 128, 1))
        asked += await self._submit("submit of 72", _jobs(f"{turn}-more", 72, 1))
        await self._finish("jobs of 1, 200 of them", asked)
        big = await self._submit("submit of a job of 1,000", [NewJob(f"{turn}-big", 1000)])
        await self._finish("a slice of 500 of a job of 1,000", big)

    async def _submit(self, what: str, jobs: Sequence[NewJob]) -> list[Asked]:
        async with self._counted(what):
            done = await self._ledger.submit([Submission(job) for job in jobs])
        return [Asked(one.job_id, one.place) for one in done]

    async def _finish(self, what: str, asked: list[Asked]) -> None:
        async with self._counted(f"claim: {what}"):
            claim = await self._ledger.claim("s1", asked, _ROOM, _plan)
        results = [_created(account) for account in claim.accounts]
        async with self._counted(f"record: {what}"):
            recorded = await self._ledger.record("s1", results)
        if recorded.accepted != len(results) or not results:
            raise RuntimeError(f"{recorded.accepted} of {len(results)} results were accepted")

    @asynccontextmanager
    async def _counted(self, what: str) -> AsyncIterator[None]:
        before = await self._meter()
        yield
        self.counts[what] = dict((await self._meter()) - before)


def _jobs(name: str, n: int, count: int) -> list[NewJob]:
    return [NewJob(f"{name}-{number:03}", count) for number in range(n)]


def _plan(
    _tenant: str, job: str, _template: str | None, indexes: range, _policy: str | None
) -> list[PlannedAccount]:
    return [
        PlannedAccount(
            job, n, Person(f"{job}-{n}", f"{job}-{n}@botrix.invalid", "Ada", "Byron", "Ada Byron"),
            bytes(53),
        )
        for n in indexes
    ]  # fmt: skip


def _created(account: LeasedAccount) -> Result:
    return Result(
        account.job_id, account.index, account.attempt, AccountStatus.CREATED, entry_id="x"
    )


async def on_sqlite(path: Path) -> Counts:
    watched = sqlite.Watched(path)

    async def meter() -> Counter[str]:
        return watched.seen()

    return await _said(f"sqlite:///{path}", meter)


async def on_postgres(url: str) -> Counts:
    watched = postgres.Watched(url)
    return await _said(watched.url, watched.seen)


async def pages_of_postgres(url: str) -> Counts:
    """By connections of their own, since a server process tells of itself only when it ends."""
    watched = postgres.Watched(url)
    ledger = open_ledger(url)

    async def meter() -> Counter[str]:
        await ledger.close()
        return Counter({"pages looked at": await watched.pages()})

    return await _said(url, meter, ledger)


async def _said(url: str, meter: Meter, ledger: Ledger | None = None) -> Counts:
    opened = ledger or open_ledger(url)
    try:
        await opened.open_session("s1", "worker-1", "host", 1, "0")
        verbs = Verbs(opened, meter)
        for turn in ("a", "b", "c"):
            await verbs.say(turn)
        return verbs.counts
    finally:
        await opened.close()
