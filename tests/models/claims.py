"""What a claim may answer: a verdict on each entry, and as many accounts as there is room for."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from botrix.ledger.ledger import Asked, Claim, Room, Verdict
from botrix.model import SLICE, LeasedAccount, Source
from botrix.states import JobStatus
from tests.models.expected import Account, Expected, Job
from tests.models.stores import DIRECTORIES


def claimed(
    expected: Expected, session: str, asked: Sequence[Asked], room: Room, claim: Claim
) -> None:
    """Rules on the entries in their order, and leases what was given. Room that is there is used:
    an account that could be taken and was not is as wrong as one too many."""
    given = deque(claim.accounts)
    held = Counter(room.held)
    held_of = Counter({tenant: 0 for tenant, _ in held})
    for (tenant, _), n in held.items():
        held_of[tenant] += n
    started = []
    left = room.total
    assert [ruling.id for ruling in claim.rulings] == [one.id for one in asked]
    for one, ruling in zip(asked, claim.rulings, strict=True):
        verdict = _verdict(expected, one, left)
        assert ruling.verdict is verdict, f"{ruling} on {one}, not {verdict}"
        if verdict is not Verdict.TAKEN:
            assert ruling.back is None, ruling
            continue
        job = expected.jobs[one.id]
        started += _start(job)
        directory = (job.new.tenant_id, job.new.directory)
        of_tenant = room.tenant_share - held_of[job.new.tenant_id]
        limit = max(0, min(SLICE, left, room.share - held[directory], of_tenant))
        mine = _of(job, given)
        _leased(expected, session, job, mine, limit)
        left -= len(mine)
        held[directory] += len(mine)
        held_of[job.new.tenant_id] += len(mine)
        assert ruling.lane is job.new.lane
        _placed_again(expected, job, ruling.back)
    assert not given, f"leased and not asked for: {given}"
    assert [state.id for state in claim.started] == started
    assert all(state.status is JobStatus.RUNNING for state in claim.started)


def same(leased: LeasedAccount, job: Job, account: Account) -> None:
    """What its worker is told of an account, of which the model has the lease already."""
    assert (leased.key, leased.attempt) == ((job.new.id, account.index), account.attempt)
    assert (leased.person, leased.sealed) == (account.person, account.sealed), "decided again"
    assert (leased.directory, leased.tenant_id) == (job.new.directory, job.new.tenant_id)
    assert (leased.tries_left, leased.tries_used) == (job.new.tries - account.tries, account.tries)
    assert leased.find_only == job.cancelled, leased
    assert leased.find_first == (account.attempt > 1), leased
    assert leased.in_doubt == account.in_doubt, leased


def _verdict(expected: Expected, one: Asked, left: int) -> Verdict:
    """A raw entry of a job that is not known enters it."""
    job = expected.jobs.get(one.id)
    if one.raw is not None:
        if job is None and one.raw.directory in DIRECTORIES:
            expected.jobs[one.id] = Job(one.raw, None)
            return Verdict.TAKEN
        same_again = job is not None and (Source.RAW, one.raw.count, one.raw.directory) == (
            job.new.source, job.new.count, job.new.directory,
        )  # fmt: skip
        return Verdict.STALE if same_again else Verdict.REJECTED
    if job is None or job.place != one.place:
        return Verdict.STALE
    return Verdict.TAKEN if left > 0 else Verdict.OVER


def _start(job: Job) -> list[str]:
    if job.status is not JobStatus.PENDING:
        return []
    job.becomes(JobStatus.RUNNING)
    return [job.new.id]


def _of(job: Job, given: deque[LeasedAccount]) -> list[LeasedAccount]:
    mine = []
    while given and given[0].job_id == job.new.id:
        mine.append(given.popleft())
    return mine


def _leased(
    expected: Expected, session: str, job: Job, mine: Sequence[LeasedAccount], limit: int
) -> None:
    """What is due again comes first, then new ones in their order."""
    due = {account.index for account in job.due(expected.now)}
    assert len(mine) == min(limit, len(due) + job.fresh), (
        f"room for {limit}, due {due}, new {job.fresh}; leased {mine}"
    )
    assert sum(one.index in due for one in mine) == min(limit, len(due)), "new ones before due ones"
    for leased in mine:
        if leased.index in due:
            account = job.accounts[leased.index]
        else:
            assert leased.index == job.next_index, f"{leased} after {job.next_index}"
            account = Account(leased.index, leased.person, leased.sealed)
            job.accounts[leased.index] = account
            job.next_index += 1
        expected.lease(session, job, account)
        same(leased, job, account)


def _placed_again(expected: Expected, job: Job, place: int | None) -> None:
    """Where work is left now. One that is being cancelled is placed by the dispatcher alone."""
    work = job.fresh > 0 or bool(job.due(expected.now))
    job.place = None
    assert (place is not None) == (work and not job.cancelled), f"{job} has place {place}"
    if place is not None:
        expected.place(job, place)
