"""The rest of the watched ledger: what reads, what the reconciler does, what people decide."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from botrix.errors import Conflict
from botrix.ledger.ledger import (
    WATCHED_FOR,
    Found,
    Late,
    PeerBeat,
    Placed,
    Provisional,
    Recorded,
)
from botrix.model import Lane, LeasedAccount
from botrix.states import AccountStatus, JobStatus
from tests.models.expected import Account, Job
from tests.models.watched_ledger import WatchedLedger
from tests.servers.keys import CONSOLE

_DAY = 86_400.0
_EXACT = 0.01
_PROVISIONAL = (AccountStatus.FAILED, AccountStatus.CANCELLED, AccountStatus.DELETED)


class Watched(WatchedLedger):
    """All that a pump, a dispatcher, a reconciler and the API ask of a ledger."""

    async def peers(self) -> list[PeerBeat]:
        peers = await self.real.peers()
        sessions = self.expected.sessions
        live = {name: session.beat for name, session in sessions.items() if session.live}
        assert {peer.id: peer.beat for peer in peers} == live
        return peers

    async def lost_sessions(self) -> list[str]:
        lost = await self.real.lost_sessions()
        since = self.expected.now - _DAY
        gone = self.expected.gone()
        assert sorted(lost) == sorted(
            name for name in gone if (self.expected.sessions[name].ended_at or 0.0) > since
        )
        return lost

    async def held(self, session: str) -> list[LeasedAccount]:
        """Each must be looked for first: who asks does not know what it has."""
        held = await self.real.held(session)
        accounts = {(job.new.id, a.index): a for job, a in self.expected.held(session)}
        assert {one.key: one.attempt for one in held} == {
            key: account.attempt for key, account in accounts.items()
        }
        assert all(one.find_first for one in held)
        assert all(one.person == accounts[one.key].person for one in held)
        return held

    async def suspects(self) -> bool:
        answer = await self.real.suspects()
        assert answer == bool(self.expected.suspects())
        return answer

    async def passed_by(self, lane: Lane, head: int | None, limit: int) -> list[Placed]:
        answer = await self.real.passed_by(lane, head, limit)
        assert answer == self._before(lane, head)[:limit]
        return answer

    async def fetch(self, limit: int) -> list[Placed]:
        answer = await self.real.fetch(limit)
        assert answer == [one for lane in Lane for one in self._before(lane, None)][:limit]
        return answer

    def _before(self, lane: Lane, head: int | None) -> list[Placed]:
        jobs = [job for job in self.expected.jobs.values() if job.new.lane is lane]
        placed = [Placed(job.new.id, job.place, lane) for job in jobs if job.place is not None]
        return sorted(
            (one for one in placed if head is None or one.place < head), key=lambda one: one.place
        )

    async def several_tenants(self) -> bool:
        assert await self.real.several_tenants()
        return True

    async def waiting(self, after: str, tenants: int, limit: int) -> dict[str, list[Placed]]:
        answer = await self.real.waiting(after, tenants, limit)
        expected: dict[str, list[Placed]] = {}
        for lane in Lane:
            for tenant in {job.new.tenant_id for job in self.expected.jobs.values()}:
                mine = [one for one in self._before(lane, None) if self._is_of(one, tenant)]
                if mine and tenant > after:
                    expected.setdefault(tenant, []).extend(mine[:limit])
        first = sorted(expected)[:tenants]
        assert list(answer.items()) == [(name, expected[name]) for name in first]
        return answer

    def _is_of(self, one: Placed, tenant: str) -> bool:
        return self.expected.jobs[one.id].new.tenant_id == tenant

    async def places(self, jobs: Sequence[str]) -> dict[str, int | None]:
        answer = await self.real.places(jobs)
        known = self.expected.jobs
        assert answer == {name: known[name].place for name in jobs if name in known}
        return answer

    async def first_results(self, job_id: str, limit: int) -> bytes:
        return await self.real.first_results(job_id, limit)

    async def look_again(self, session: str, settled: float) -> Provisional | None:
        """The job that has waited longest, of those that were over long enough ago."""
        times = {
            name: job.look_at
            for name, job in self.expected.jobs.items()
            if job.look_at is not None and job.look_at <= self.expected.now - settled
        }
        taken = await self._allowed(session, self.real.look_again(session, settled))
        assert (taken is None) == (not times), f"{taken} of {times}"
        if taken is not None:
            assert times[taken.job_id] <= min(times.values()) + _EXACT
            assert taken.since == self.expected.now
            self.expected.jobs[taken.job_id].look_at = taken.since
        return taken

    async def provisional(self, job_id: str, after: int, limit: int) -> list[Late]:
        """What a call was made for, perhaps, and is not there by the ledger."""
        page = await self.real.provisional(job_id, after, limit)
        accounts = self.expected.jobs[job_id].accounts
        late = sorted(
            (a.index, a.attempt, a.status)
            for a in accounts.values()
            if a.status in _PROVISIONAL and a.attempt > 0 and a.index > after
        )
        assert [(one.account.index, one.account.attempt, one.status) for one in page] == late[
            :limit
        ]
        return page

    async def landed(self, session: str, found: Sequence[Found]) -> Recorded:
        recorded = await self._allowed(session, self.real.landed(session, found))
        stale: list[tuple[str, int]] = []
        moved: list[Job] = []
        for one in found:
            account = self.expected.account(*one.key)
            if account is None or not _is_as_found(account, one):
                stale.append(one.key)
            else:
                account.becomes(one.becomes)
                moved.append(self.expected.jobs[one.key[0]])
        assert (recorded.accepted, recorded.stale) == (len(found) - len(stale), stale)
        self._settle(moved, recorded.jobs)
        return recorded

    async def looked_again(self, session: str, job: Provisional, *, done: bool) -> None:
        """Not where the job was opened again, or taken up by another, meanwhile."""
        await self._allowed(session, self.real.looked_again(session, job, done=done))
        row = self.expected.jobs[job.job_id]
        if not done or row.look_at != job.since:
            return
        assert row.finished_at is not None
        age = self.expected.now - row.finished_at
        row.looked_at = self.expected.now
        row.look_at = self.expected.now + 3 * age if age < WATCHED_FOR else None

    async def cancel(self, job_id: str) -> None:
        """What was not planned yet is cancelled at once."""
        job = self.expected.jobs[job_id]
        if job.status not in (JobStatus.PENDING, JobStatus.RUNNING):
            with pytest.raises(Conflict):
                await self.store.queries.cancel(job.new.tenant_id, job_id, CONSOLE)
            return
        row = await self.store.queries.cancel(job.new.tenant_id, job_id, CONSOLE)
        job.unplanned += job.new.count - job.next_index
        job.next_index, job.place = job.new.count, None
        job.becomes(JobStatus.CANCELLING)
        job.settle(self.expected.now)
        assert row["status"] == job.status

    async def retry(self, job_id: str) -> None:
        """Just the failed accounts, with all their tries, and their losses forgotten."""
        job = self.expected.jobs[job_id]
        if job.status is not JobStatus.FAILED:
            with pytest.raises(Conflict):
                await self.store.queries.retry(job.new.tenant_id, job_id, CONSOLE)
            return
        await self.store.queries.retry(job.new.tenant_id, job_id, CONSOLE)
        job.becomes(JobStatus.RUNNING)
        job.finished_at = job.look_at = job.looked_at = None
        for account in job.accounts.values():
            if account.status is AccountStatus.FAILED:
                account.becomes(AccountStatus.PLANNED)
                account.tries, account.crashes, account.not_before = 0, 0, 0.0
                account.reason = None


def _is_as_found(account: Account, found: Found) -> bool:
    return (account.attempt, account.status) == (found.attempt, found.late.status)
