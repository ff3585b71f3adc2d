"""The state machine on the real ledger and line: its state, and what comes from outside.

Hypothesis draws which rule comes next and shrinks what fails to the fewest steps. Sessions and jobs
are picked by number among those that there are, mostly among the living, since a step that does
nothing finds nothing. For the same reason what is rare shares one rule.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from redis.asyncio import Redis

from botrix.errors import NotFound, SessionLost
from botrix.ledger.ledger import Found, Placed, Provisional, Submission
from botrix.line import keys
from botrix.line.entries import encode
from botrix.line.line import Placing
from botrix.model import Lane, NewJob, PlannedAccount
from botrix.states import JobStatus
from botrix.worker.dispatcher import Dispatcher
from tests.models import watched_line
from tests.models.compare import compare
from tests.models.expected import Expected, Job
from tests.models.stores import DIRECTORIES, START, TENANTS, Store
from tests.models.watched_line import WatchedLine
from tests.models.watched_reads import Watched
from tests.models.worker import Worker, as_ledger, person

T = TypeVar("T")

PICK = st.integers(0, 9)
_LANE = st.sampled_from(Lane)
_COUNT = st.integers(1, 7)
_MISCHIEF = ("flush", "junk", "stamp", "stamp", "new", "new", "again", "known")
_SESSIONS = 3
_OPEN_JOBS = 4


@dataclass
class World:
    """What lasts from example to example; all of it lives in one event loop."""

    runner: asyncio.Runner
    store: Store
    line: WatchedLine
    redis: Redis


@dataclass
class Waiting:
    """What is under way: jobs not pushed yet, raw ones, and what the reconcilers have seen."""

    pushes: list[Placed] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    looks: list[Provisional] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    """`sound`: whether all held so far; a failure is not to be hidden by what follows it."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.line = world.line
        self.expected = Expected(START)
        self.ledger = Watched(world.store, self.expected)
        self.workers: dict[str, Worker] = {}
        self.waiting = Waiting()
        self.names = 0
        self.sound = True
        self.dispatchers = [
            Dispatcher(as_ledger(self.ledger), self.line, 1.0, clock=lambda: self.expected.now)
            for _ in range(2)
        ]
        self.run(self._begin())

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        sound, self.sound = self.sound, False
        answer = self.world.runner.run(step)
        self.sound = sound
        return answer

    async def _begin(self) -> None:
        await self.world.store.reset()
        await self.world.redis.flushall()
        self.line.watch()

    def name(self, kind: str) -> str:
        self.names += 1
        return f"{kind}{self.names}"

    def plan(
        self, _tenant: str, job: str, _template: str | None, indexes: range, _policy: str | None
    ) -> list[PlannedAccount]:
        """Names that come once, so that an account that is decided again shows."""
        made = [(index, self.name("u")) for index in indexes]
        return [PlannedAccount(job, index, person(u), u.encode()) for index, u in made]

    async def push(self, placed: Sequence[Placed]) -> None:
        await self.line.push([Placing(one.id, one.place, one.lane) for one in placed])

    async def advance(self, seconds: float) -> None:
        self.expected.now += seconds
        await self.world.store.set_clock(self.expected.now)

    @invariant()
    def rows_and_lists_are_as_expected(self) -> None:
        async def look() -> None:
            compare(await self.world.store.rows(), self.expected)
            await watched_line.compare(self.world.redis, self.line.model, self.expected.sessions)

        self.run(look())

    def worker(self, pick: int) -> Worker:
        """One whose session lives, but for every fifth pick; it may be a zombie then."""
        gone = self.expected.gone()
        live = [name for name in self.workers if name not in gone]
        some = gone if gone and (pick >= 8 or not live) else live
        session = some[pick % len(some)]
        note(f"  # {session}")
        return self.workers[session]

    def job(self, pick: int) -> Job:
        """An open one, but for every fifth pick."""
        jobs = list(self.expected.jobs.values())
        some = [job for job in jobs if job.open == (pick < 8)] or jobs
        note(f"  # {some[pick % len(some)].new.id}")
        return some[pick % len(some)]

    # Sessions

    async def opened(self) -> Worker:
        session = self.name("s")
        await self.ledger.open_session(session, "w", "host", 1, "0")
        self.workers[session] = Worker(session, self.ledger, self.line, self.plan)
        return self.workers[session]

    async def replaced(self) -> None:
        """There are always some that live."""
        while len(self.workers) - len(self.expected.gone()) < _SESSIONS:
            await self.opened()

    @initialize(count=_COUNT, lane=_LANE)
    def some_workers_and_jobs(self, count: int, lane: Lane) -> None:
        self.run(self.replaced())
        self.submit(count, lane, "local", 3, None, "at once", "default")
        self.submit(7 - count // 2, lane, "other", 4, None, "at once", "b")

    @rule(pick=PICK, how=st.sampled_from(("renews", "ends", "is lost", "is lost")),
          beat=st.sampled_from((None, None, 0, 1)))  # fmt: skip
    def session(self, pick: int, how: str, beat: int | None) -> None:
        """beat: as a peer has seen it, perhaps before the last renewal."""

        async def step() -> None:
            session = self.worker(pick).session
            if how == "ends":
                await self.ledger.end_session(session)
            elif how == "is lost":
                await self.ledger.mark_lost(session, beat)
            else:
                await self.ledger.peers()
                try:
                    await self.ledger.renew(session)
                except SessionLost:
                    assert not self.expected.live(session)
            await self.replaced()

        self.run(step())

    # Jobs

    @precondition(lambda self: sum(job.open for job in self.expected.jobs.values()) < _OPEN_JOBS)
    @rule(
        count=_COUNT, lane=_LANE, directory=st.sampled_from(DIRECTORIES), tries=st.integers(1, 4),
        key=st.sampled_from((None, None, "k1", "k2")),
        pushed=st.sampled_from(("at once", "at once", "late", "never")),
        tenant=st.sampled_from(TENANTS),
    )  # fmt: skip
    def submit(
        self, count: int, lane: Lane, directory: str, tries: int, key: str | None, pushed: str,
        tenant: str,
    ) -> None:  # fmt: skip
        async def step() -> None:
            job = NewJob(
                self.name("j"), count, lane=lane, directory=directory, tries=tries, tenant_id=tenant
            )
            (one,) = await self.ledger.submit([Submission(job, key, f"{count}")])
            placed = [] if one.place is None else [Placed(one.job_id, one.place, lane)]
            if pushed == "at once":
                await self.push(placed)
            elif pushed == "late":
                self.waiting.pushes += placed

        self.run(step())

    @precondition(lambda self: self.waiting.pushes)
    @rule()
    def push_what_is_late(self) -> None:
        late, self.waiting.pushes = self.waiting.pushes, []
        self.run(self.push(late))

    def undecided(self) -> bool:
        """Whether a job has failed; or runs, and not too many were cancelled before."""
        counts = Counter(job.status for job in self.expected.jobs.values())
        cancelled = counts[JobStatus.CANCELLING] + counts[JobStatus.CANCELLED]
        return counts[JobStatus.FAILED] > 0 or counts[JobStatus.RUNNING] > 2 * cancelled

    @precondition(undecided)
    @rule(pick=PICK, how=st.sampled_from(("retry", "retry", "cancel")))
    def decide(self, pick: int, how: str) -> None:
        """What people do with a job. A retry is mostly of one that has failed."""
        jobs = self.expected.jobs.values()
        failed = [job for job in jobs if job.status is JobStatus.FAILED]
        if how == "cancel":
            self.run(self.ledger.cancel(self.job(pick).new.id))
        else:
            job = failed[pick % len(failed)] if failed and pick else self.job(pick)
            self.run(self.ledger.retry(job.new.id))

    # Other programs, and the line's own misfortunes

    async def foreign(self, lane: Lane, entry: bytes) -> None:
        await self.world.redis.rpush(keys.LANES[lane], entry)
        self.line.model.lanes[lane].append(entry)

    @rule(pick=PICK, lane=_LANE, count=_COUNT, off=st.sampled_from((-1, 0, 0, 1, 1000)),
          directory=st.sampled_from((*DIRECTORIES, "nowhere")),
          how=st.sampled_from(_MISCHIEF))  # fmt: skip
    def mischief(
        self, pick: int, lane: Lane, count: int, off: int, directory: str, how: str
    ) -> None:
        """FLUSHALL, and what other programs push: no entry at all; one that is stamped, as a second
        entry of its job or with a place that was never given or was once; and raw ones, new, seen
        before, or by the name of another job."""

        async def step() -> None:
            if how == "flush":
                await self.world.redis.flushall()
                self.line.model.flush()
            elif how == "junk":
                await self.foreign(lane, b'{"id": "junk"}')
            elif how == "stamp":
                job = self.job(pick)
                place = max(1, (job.place or self.expected.given) + off)
                await self.foreign(lane, encode(job.new.id, place))
            else:
                entry = {"id": await self._raw_name(pick, how), "count": count}
                await self.foreign(lane, msgspec.json.encode({**entry, "directory": directory}))

        self.run(step())

    async def _raw_name(self, pick: int, how: str) -> str:
        """One that is not in the ledger is not there before a claim puts it there."""
        known = list(self.expected.jobs) if how == "known" else self.waiting.raw
        name = known[pick % len(known)] if known and how != "new" else self.name("r")
        self.waiting.raw.append(name)
        if name not in self.expected.jobs:
            with pytest.raises(NotFound):
                await self.world.store.queries.job("default", name)
        return name
