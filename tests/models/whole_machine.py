"""The rest of the state machine: workers, dispatcher, reconciler, the clock; and how it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from botrix.errors import SessionLost
from botrix.ledger.ledger import Found
from botrix.model import Lane, LeasedAccount, Outcome, OutcomeKind
from botrix.states import JobStatus
from botrix.worker.pump import PUMPS
from tests.models.machine import PICK, Machine
from tests.models.worker import Worker, result

_PUMP = st.sampled_from(PUMPS)
_PUMPS = tuple(str(number) for number in PUMPS)
_MANY = st.integers(1, 6)
_FEW = st.sampled_from((1, 1, 2, 5))
_SHARE = st.sampled_from((1, 2, 99, 99))
_LIMIT = st.sampled_from((1, 2, 500))
_OFF = st.lists(st.sampled_from((0, 0, -1, 1)), min_size=3, max_size=3)
"""By how much a place is seen wrongly."""
_OFTEN = (OutcomeKind.CREATED, OutcomeKind.RETRY, OutcomeKind.UNKNOWN, OutcomeKind.REJECTED)
_ELSEWHERE = (OutcomeKind.LOOKED, OutcomeKind.DELETED)
"""What comes of no account that is to be created."""
_OUTCOME = st.builds(
    Outcome,
    kind=st.sampled_from((*_OFTEN, *(kind for kind in OutcomeKind if kind not in _ELSEWHERE))),
    reason=st.just("r"),
    retry_after=st.sampled_from((None, 30.0, 300.0)),
    counted=st.booleans(),
    in_doubt=st.booleans(),
)
_OUTCOMES = st.lists(_OUTCOME, min_size=2, max_size=7)
_FEW_OUTCOMES = st.lists(_OUTCOME, max_size=2)
_AFTER = st.sampled_from((0, 1, 3, 20, 60, 400))
_LANDED = st.lists(st.sampled_from((True, True, False)), min_size=7, max_size=7)
_REST = st.sampled_from(("", "look", "land", "done", "again"))
_ROUNDS = 12
"""Within so many all must be over: the longest delay takes four of them, a lost entry two."""
_ROUND = 100.0
"""Seconds; more than the minute after which the dispatcher looks behind raw entries."""
_TURNS = 50


class WholeMachine(Machine):
    """Workers, and what goes on beside them."""

    def anything_held(self) -> bool:
        return any(worker.hands.accounts for worker in self.workers.values())

    def holder(self, pick: int) -> Worker:
        """One that believes that it holds something."""
        holders = [one for one in self.workers.values() if one.hands.accounts]
        return holders[pick % len(holders)]

    @rule(pick=PICK, pump=_PUMP, n=_FEW, total=st.integers(1, 9), share=_SHARE, after=_AFTER,
          outcomes=_OUTCOMES)  # fmt: skip
    def turn(
        self, pick: int, pump: int, n: int, total: int, share: int, after: int,
        outcomes: list[Outcome],
    ) -> None:  # fmt: skip
        """A whole one, as most are, and results of what is held; before it, mostly, a tick that
        brings it work."""

        async def step() -> None:
            if after:
                await self.advance(after)
                await self.dispatchers[0].tick()
            worker = self.worker(pick)
            await worker.take(pump, n)
            await worker.claim(pump, total, share)
            await self.results(worker, 0, outcomes)

        self.run(step())

    async def results(self, worker: Worker, first: int, outcomes: list[Outcome]) -> None:
        some = worker.hands.some(first, len(outcomes))
        made = [result(account, one) for account, one in zip(some, outcomes, strict=False)]
        if made:
            await worker.record(made)

    @rule(pick=PICK, pump=_PUMP, n=_FEW, lost=st.booleans())
    def take(self, pick: int, pump: int, n: int, lost: bool) -> None:
        self.run(self.worker(pick).take(pump, n, lost=lost))

    @precondition(lambda self: any(p.taken for w in self.workers.values() for p in w.both))
    @rule(pick=PICK, total=st.integers(0, 6), share=_SHARE, lost=st.booleans())
    def claim(self, pick: int, total: int, share: int, lost: bool) -> None:
        """Of a pump that has taken something, some steps before."""
        ready = [(w, n) for w in self.workers.values() for n in PUMPS if w.pumps[n].taken]
        worker, pump = ready[pick % len(ready)]
        self.run(worker.claim(pump, total, share, lost=lost))

    @precondition(lambda self: any(p.owes for w in self.workers.values() for p in w.both))
    @rule(pick=PICK, reaches=st.booleans())
    def settle(self, pick: int, reaches: bool) -> None:
        owing = [pump for worker in self.workers.values() for pump in worker.both if pump.owes]
        self.run(owing[pick % len(owing)].settle_step(self.line, reaches=reaches))

    @rule(pick=PICK, pump=_PUMP, n=_FEW, total=_MANY,
          lost=st.lists(st.booleans(), min_size=3, max_size=3))  # fmt: skip
    def unheard(self, pick: int, pump: int, n: int, total: int, lost: list[bool]) -> None:
        """Two turns, of which any answer may be lost; then what was lost is said again."""

        async def step() -> None:
            worker = self.worker(pick)
            if lost[0]:
                await worker.take(pump, n, lost=True)
            await worker.take(pump, n)
            await worker.claim(pump, total, 99, lost=lost[1])
            if lost[2]:
                await worker.take(pump, n, lost=True)
            await worker.take(pump, n)

        self.run(step())

    @rule(pick=PICK, total=st.integers(0, 6), ahead=st.sampled_from((0, 0, 1, 1, 2, 99)),
          passing=st.booleans(), lost=st.sampled_from((False, False, True)))  # fmt: skip
    def look_behind(self, pick: int, total: int, ahead: int, passing: bool, lost: bool) -> None:
        """Claims of what the line has not come to, beside whatever the pumps have taken."""
        self.run(self.worker(pick).look_behind(total, ahead, passing=passing, lost=lost))

    @rule(pick=PICK, pump=_PUMP, settled=st.booleans(), freed=st.sampled_from(("", "free", "push")),
          alone=st.sampled_from(("first", "last")), outcomes=_FEW_OUTCOMES)  # fmt: skip
    def work_and_die(
        self, pick: int, pump: int, settled: bool, freed: str, alone: str, outcomes: list[Outcome]
    ) -> None:
        """The short way to accounts that were lost twice. Such a one is claimed only by a worker
        that holds nothing, so not last if there was anything else."""

        async def step() -> None:
            worker = self.worker(pick)
            if alone == "first":
                await worker.suspect()
            await worker.take(pump, 6)
            await worker.claim(pump, 9, 99)
            await self.results(worker, 0, outcomes)
            if alone == "last":
                await worker.suspect()
            if settled:
                await worker.pumps[pump].settle_step(self.line, reaches=True)
            await self.ledger.mark_lost(worker.session, None)
            placed = (await self.ledger.free(500)).placed if freed else []
            await self.push(placed if freed == "push" else [])
            await self.replaced()

        self.run(step())

    # Results

    @precondition(anything_held)
    @rule(pick=PICK, first=PICK, outcomes=_OUTCOMES)
    def record(self, pick: int, first: int, outcomes: list[Outcome]) -> None:
        self.run(self.results(self.holder(pick), first, outcomes))

    @precondition(anything_held)
    @rule(pick=PICK, by=PICK, first=PICK, outcome=_OUTCOME, off=st.sampled_from((-1, 0, 1)),
          twice=st.booleans())  # fmt: skip
    def record_wrongly(
        self, pick: int, by: int, first: int, outcome: Outcome, off: int, twice: bool
    ) -> None:
        """What is in other hands, perhaps, or of another attempt; or what was recorded before."""
        holder = self.holder(pick)
        (account,) = holder.hands.some(first, 1)
        other = msgspec.structs.replace(account, attempt=account.attempt + off)
        results = [result(other, outcome)]
        if twice:
            sent = {(one.job_id, one.index): one for one in holder.hands.sent[-3:]}
            results = list(sent.values())
        self.run((self.worker(by) if off else holder).record(results))

    @precondition(anything_held)
    @rule(pick=PICK, by=PICK, own=st.booleans(), first=PICK)
    def rename(self, pick: int, by: int, own: bool, first: int) -> None:
        holder = self.holder(pick)
        (account,) = holder.hands.some(first, 1)
        self.run((holder if own else self.worker(by)).rename(account, self.name("n")))

    async def finish(self, worker: Worker) -> None:
        """The end that most accounts have."""
        accounts = list(worker.hands.accounts.values())
        if accounts:
            await worker.record([result(one, _best(one)) for one in accounts])

    # The dispatcher

    @rule(how=st.sampled_from((0, 0, 0, 1, "free", "due")), after=_AFTER, limit=_LIMIT,
          pushed=st.booleans())  # fmt: skip
    def dispatch(self, how: int | str, after: int, limit: int, pushed: bool) -> None:
        """A tick of one of two dispatchers, or half of one by a third, which may die before it
        pushes anything."""

        async def step() -> None:
            await self.advance(after)
            if isinstance(how, int):
                await self.dispatchers[how].tick()
                return
            answer = await (self.ledger.free if how == "free" else self.ledger.due)(limit)
            await self.push(answer.placed if pushed else [])

        self.run(step())

    @rule(pick=PICK, off=_OFF, pushed=st.booleans(), lane=st.sampled_from(Lane), limit=_LIMIT,
          head=st.one_of(st.none(), st.integers(0, 30)))  # fmt: skip
    def look_around(
        self, pick: int, off: list[int], pushed: bool, lane: Lane, limit: int, head: int | None
    ) -> None:
        """What only reads. Then jobs are put back as they are, or were when somebody saw them, and
        so are the taken lists of those who are gone: that anybody may do at any time."""

        async def step() -> None:
            await self.ledger.passed_by(lane, head, limit)
            await self.ledger.fetch(limit)
            await self.ledger.places([*self.expected.jobs, "nobody"])
            await self.ledger.lost_sessions()
            await self.ledger.held(self.worker(pick).session)
            await self.line.give_back(self.expected.gone(), _PUMPS)
            jobs = [job for job in self.expected.jobs.values() if job.open][-3:]
            places = [(job.new.id, job.place or self.expected.given) for job in jobs]
            seen = {name: at + by for (name, at), by in zip(places, off, strict=False)}
            placed = await self.ledger.put_back(seen)
            await self.push(placed if pushed else [])

        self.run(step())

    # The reconciler

    def anything_final(self) -> bool:
        return any(job.look_at is not None for job in self.expected.jobs.values())

    @precondition(anything_final)
    @rule(pick=PICK, landed=_LANDED,
          limit=st.integers(1, 4), rest=_REST)  # fmt: skip
    def reconcile(self, pick: int, landed: list[bool], limit: int, rest: str) -> None:
        """Stops after each of its steps, perhaps; `rest` says after which. The next may go on. Or
        what was found is tried once more, and fails, before that is told."""

        async def step() -> None:
            session = self.worker(pick).session
            await self.advance(1)
            job = await self.ledger.look_again(session, 0.5)
            if job is None or rest == "look":
                return
            after = -1
            while page := await self.ledger.provisional(job.job_id, after, limit):
                after = page[-1].account.index
                found = [Found(late) for late in page if landed[late.account.index]]
                self.waiting.found += found
                if rest == "again":
                    await self._fails_again(job.job_id)
                if rest != "land":
                    await self.ledger.landed(session, found)
            self.waiting.looks.append(job)
            if rest == "done":
                await self.ledger.looked_again(session, job, done=landed[0])

        self.run(_unless_lost(step()))

    async def _fails_again(self, job: str) -> None:
        if self.expected.jobs[job].status is not JobStatus.FAILED:
            return
        await self.ledger.retry(job)
        await self.push((await self.ledger.due(500)).placed)
        worker = await self.opened()
        await worker.take(1, 100)
        await worker.claim(1, 100, 99)
        accounts = worker.hands.some(0, 100)
        await worker.record([result(one, Outcome(OutcomeKind.REJECTED)) for one in accounts])

    @precondition(lambda self: self.waiting.looks)
    @rule(pick=PICK, which=st.integers(1, 3), done=st.booleans())
    def reconcile_late(self, pick: int, which: int, done: bool) -> None:
        """What was seen before is told now."""

        async def step() -> None:
            session = self.worker(pick).session
            found = {one.key: one for one in self.waiting.found[-which:]}
            await self.ledger.landed(session, list(found.values()))
            for job in self.waiting.looks[-which:][:1]:
                await self.ledger.looked_again(session, job, done=done)

        self.run(_unless_lost(step()))

    # The end

    def teardown(self) -> None:
        if self.sound:
            self.run(self._everything_ends())

    async def _everything_ends(self) -> None:
        """The others are gone, whatever they held, and what was to be pushed never is."""
        for session in self.workers:
            await self.ledger.mark_lost(session, None)
        worker = await self.opened()
        for _ in range(_ROUNDS):
            await self.advance(_ROUND)
            while await self.dispatchers[0].tick():
                pass
            await self._works_off(worker)
            if not self._left():
                break
        assert not self._left(), f"after {_ROUNDS} rounds: {self._left()}"
        rows = await self.world.store.rows()
        assert {row["status"] for row in rows.jobs.values()} <= {"completed", "failed", "cancelled"}
        assert not [key for key, row in rows.accounts.items() if row["session_id"] is not None]
        for row in rows.jobs.values():
            ends = ("created", "existing", "failed", "cancelled", "deleted")
            assert sum(row[name] for name in ends) == row["count"], row

    async def _works_off(self, worker: Worker) -> None:
        """Turn after turn of both pumps until nothing comes; then those who are claimed alone."""
        for _ in range(_TURNS):
            for pump in PUMPS:
                await worker.take(pump, 100)
                await worker.claim(pump, 1000, 1000)
            await self.finish(worker)
            if not any(self.line.model.lanes.values()):
                break
        for pump in worker.both:
            await pump.settle_step(self.line, reaches=True)
        while await worker.suspect():
            await self.finish(worker)

    def _left(self) -> list[object]:
        """Jobs that are not over, and entries that are still in the line."""
        left: list[object] = [job for job in self.expected.jobs.values() if job.open]
        left += [lane for lane in self.line.model.lanes.values() if lane]
        return left + [taken for taken in self.line.model.taken.values() if taken]


def _best(account: LeasedAccount) -> Outcome:
    """One that is to be looked for only is not there."""
    if account.find_only:
        return Outcome(OutcomeKind.RETRY, reason="cancelled")
    return Outcome(OutcomeKind.CREATED)


async def _unless_lost(step: Awaitable[None]) -> None:
    """That a session which lives is heard is checked elsewhere."""
    with contextlib.suppress(SessionLost):
        await step
