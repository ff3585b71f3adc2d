"""The real ledger, held to the model verb by verb: what it may answer, and what that changes.

It has the verbs of a ledger, so that the real pump and the real dispatcher run on it. Where a verb
may choose (which leases a bounded `free` ends), the rows are read to see what it chose, and the
choice is judged. `lose`: the next claim is committed, and its answer lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec import structs

from botrix.errors import OutcomeUnknown, SessionLost
from botrix.ledger.ledger import (
    Asked,
    Claim,
    Due,
    Ledger,
    Placed,
    Plan,
    Recorded,
    Room,
    Submission,
    Submitted,
)
from botrix.model import POISON, JobState, LeasedAccount, NewJob, Person, Result
from botrix.states import FINAL_JOB, AccountStatus, Duty, JobStatus
from tests.models import claims
from tests.models.expected import WAITING, Account, Expected, Job, Session
from tests.models.stores import Store

T = TypeVar("T")


class WatchedLedger:
    """The verbs that move work; what only reads is in the class below."""

    def __init__(self, store: Store, expected: Expected) -> None:
        self.store = store
        self.real: Ledger = store.ledger
        self.expected = expected
        self.lose = False

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        answers = await self.real.submit(submissions)
        for one, answer in zip(submissions, answers, strict=True):
            key = (one.job.tenant_id, one.key or "")
            before = self.expected.keys.get(key)
            if before is None:
                assert (answer.job_id, answer.replay, answer.clash) == (one.job.id, False, False)
                assert answer.place is not None
                self._enter(one.job, answer.place)
                if one.key is not None:
                    self.expected.keys[key] = (one.job.id, one.fingerprint)
            else:
                clash = before[1] != one.fingerprint
                assert answer == Submitted(before[0], replay=not clash, clash=clash)
        return answers

    async def open_session(
        self,
        session: str,
        worker_id: str,
        host: str,
        pid: int,
        version: str,
        wanted: Duty = Duty.WORK,
    ) -> None:
        await self.real.open_session(session, worker_id, host, pid, version, wanted)
        self.expected.sessions[session] = Session()

    async def renew(self, session: str) -> Duty | None:
        wanted = await self._allowed(session, self.real.renew(session))
        self.expected.sessions[session].beat += 1
        return wanted

    async def end_session(self, session: str) -> None:
        await self.real.end_session(session)
        self._end(session, "ended")

    async def mark_lost(self, session: str, seen_beat: int | None) -> bool:
        beat = self.expected.sessions[session].beat
        lost = self.expected.live(session) and seen_beat in (None, beat)
        assert await self.real.mark_lost(session, seen_beat) == lost
        if lost:
            self._end(session, "lost")
        return lost

    async def claim(self, session: str, asked: Sequence[Asked], room: Room, plan: Plan) -> Claim:
        claim = await self._allowed(session, self.real.claim(session, asked, room, plan))
        claims.claimed(self.expected, session, asked, room, claim)
        if self.lose:
            self.lose = False
            raise OutcomeUnknown("the answer was lost")
        return claim

    async def claim_suspect(self, session: str) -> LeasedAccount | None:
        suspects = [] if self.expected.held(session) else self.expected.suspects()
        leased = await self._allowed(session, self.real.claim_suspect(session))
        assert (leased is None) == (not suspects), f"{leased} of {suspects}"
        if leased is not None:
            job, account = next(
                (job, a) for job, a in suspects if (job.new.id, a.index) == leased.key
            )
            self.expected.lease(session, job, account)
            claims.same(leased, job, account)
        return leased

    async def rename(self, session: str, account: LeasedAccount, person: Person) -> bool:
        """On SQLite a session that is not live hears so, on PostgreSQL that it has no lease."""
        mine = self._mine(session, account.job_id, account.index, account.attempt)
        try:
            renamed = await self.real.rename(session, account, person)
        except SessionLost:
            assert not self.expected.live(session)
            raise
        assert renamed == (mine is not None), account
        if mine is not None:
            mine.person = person
        return renamed

    async def record(self, session: str, results: Sequence[Result]) -> Recorded:
        recorded = await self._allowed(session, self.real.record(session, results))
        stale: list[tuple[str, int]] = []
        moved: dict[str, Job] = {}
        for one in results:
            account = self._mine(session, one.job_id, one.index, one.attempt)
            if account is None:
                stale.append((one.job_id, one.index))
            else:
                job = moved[one.job_id] = self.expected.jobs[one.job_id]
                self._record(job, account, one)
        assert (recorded.accepted, recorded.stale) == (len(results) - len(stale), stale)
        self._settle(moved.values(), recorded.jobs)
        return recorded

    def _record(self, job: Job, account: Account, one: Result) -> None:
        """In a job that is being cancelled nothing is planned again."""
        cancelled = job.cancelled and one.status is AccountStatus.PLANNED
        account.becomes(AccountStatus.CANCELLED if cancelled else one.status)
        again = account.status in WAITING
        account.session, account.reason = None, one.reason
        account.tries += one.counted
        account.not_before = self.expected.now + one.delay if again else 0.0
        account.in_doubt = account.in_doubt or one.in_doubt
        job.retried += one.counted and again
        leased = job.status in (JobStatus.RUNNING, JobStatus.CANCELLING)
        assert leased, f"a result was accepted in a job that is {job.status}"
        assert job.cancelled or account.tries <= job.new.tries, "more calls than were promised"

    async def free(self, limit: int) -> Due:
        gone = [
            (job, account)
            for job, account in self.expected.accounts()
            if account.session is not None and not self.expected.live(account.session)
        ]
        answer = await self.real.free(limit)
        rows = (await self.store.rows()).accounts
        freed = [(j, a) for j, a in gone if rows[j.new.id, a.index]["status"] != "leased"]
        assert len(freed) == min(limit, len(gone)), f"freed {len(freed)} of {len(gone)}"
        assert answer.more == (len(freed) == limit)
        for _, account in freed:
            self._take_back(account)
        failed = AccountStatus.FAILED
        self._settle([job for job, account in freed if account.status is failed], answer.jobs)
        self._placed([job for job, _ in freed if job.open and job.place is None], answer.placed)
        return answer

    def _take_back(self, account: Account) -> None:
        assert account.session is not None
        account.crashes += self.expected.sessions[account.session].status == "lost"
        account.session, account.in_doubt, account.not_before = None, True, 0.0
        if account.crashes < POISON:
            account.becomes(AccountStatus.UNSURE)
        else:
            account.becomes(AccountStatus.FAILED)
            account.reason = "poison"

    async def release(self, limit: int) -> bool:
        """No directory is paused here."""
        assert not await self.real.release(limit)
        return False

    async def due(self, limit: int) -> Due:
        """Each job that is due is swept, if it is being cancelled, and placed, if it has work."""
        before = (await self.store.rows()).jobs
        jobs = self.expected.jobs.values()
        times = {job.new.id: before[job.new.id]["due_at"] for job in jobs if job.place is None}
        waiting = [name for name, at in times.items() if at is not None and at <= self.expected.now]
        answer = await self.real.due(limit)
        chosen = {one.id for one in answer.jobs} | {one.id for one in answer.placed}
        assert chosen <= set(waiting), f"{chosen} of {waiting}"
        assert len(chosen) == min(limit, len(waiting)), f"{chosen} of {waiting}"
        swept = [self.expected.jobs[name] for name in chosen if self.expected.jobs[name].cancelled]
        rows = (await self.store.rows()).accounts
        full = False
        for job in swept:
            planned = job.planned()
            gone = [a for a in planned if rows[job.new.id, a.index]["status"] == "cancelled"]
            assert len(gone) == min(limit, len(planned)), f"swept {gone} of {planned}"
            full = full or len(gone) == limit
            for account in gone:
                account.becomes(AccountStatus.CANCELLED)
        self._settle(swept, answer.jobs)
        assert answer.more == (full or len(chosen) == limit)
        placed = [self.expected.jobs[name] for name in chosen]
        self._placed([job for job in placed if self._has_work(job)], answer.placed)
        return answer

    def _has_work(self, job: Job) -> bool:
        """One that is being cancelled, only once it is swept."""
        if not job.cancelled:
            return job.open
        return job.open and bool(job.due(self.expected.now)) and not job.planned()

    async def put_back(self, seen: Mapping[str, int]) -> list[Placed]:
        answer = await self.real.put_back(seen)
        jobs = self.expected.jobs
        self._placed([jobs[name] for name, at in seen.items() if jobs[name].place == at], answer)
        return answer

    async def refused(self, session: str, results: Sequence[Result]) -> None:
        """A note in the history, and nothing else."""
        await self.real.refused(session, results)

    def _enter(self, new: NewJob, place: int) -> None:
        job = self.expected.jobs[new.id] = Job(new, None)
        self.expected.place(job, place)

    def _end(self, session: str, status: str) -> None:
        one = self.expected.sessions[session]
        if one.live:
            one.status, one.ended_at = status, self.expected.now

    def _mine(self, session: str, job_id: str, index: int, attempt: int) -> Account | None:
        """The account, where the lease that is spoken of is held by this session, which lives."""
        account = self.expected.account(job_id, index)
        if account is None or not self.expected.live(session):
            return None
        return account if (account.session, account.attempt) == (session, attempt) else None

    async def _allowed(self, session: str, verb: Awaitable[T]) -> T:
        """SessionLost for a session that is not live, and for no other."""
        live = self.expected.live(session)
        try:
            answer = await verb
        except SessionLost:
            assert not live, f"{session} is live, and was told that it is lost"
            raise
        assert live, f"{session} is not live, and yet was heard"
        return answer

    def _settle(self, jobs: Iterable[Job], states: Sequence[JobState]) -> None:
        """Each job that moved is told, once, as it is after the move."""
        moved = {job.new.id: job for job in jobs}
        for job in moved.values():
            job.settle(self.expected.now)
        assert all(one.lasted is None or one.status in FINAL_JOB for one in states)
        told = {state.id: structs.replace(state, lasted=None) for state in states}
        assert len(told) == len(states), f"told twice: {states}"
        assert told == {name: job.state() for name, job in moved.items()}

    def _placed(self, jobs: Iterable[Job], placed: Sequence[Placed]) -> None:
        wanted = {job.new.id: job for job in jobs}
        assert sorted(one.id for one in placed) == sorted(wanted), f"placed: {placed}"
        for one in sorted(placed, key=lambda one: one.place):
            job = wanted[one.id]
            assert one.lane is job.new.lane
            self.expected.place(job, one.place)
