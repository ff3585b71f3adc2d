"""How long things are kept: passwords are erased, and whole jobs purged, some time after their end.

Both go in batches, each of which holds the job's row, so that keepers side by side do no harm and
one that is killed leaves a state to go on from. A job that is being purged is hidden first, by the
mark of a roster that is not whole; that is also how the sweep of imports finds it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

T = TypeVar("T")
BATCH = 1000
CHUNKS = 32
"""Of a roster, each of which has some hundred rows."""
DAY = 86_400.0
_PAGE = 100
SMALL = 64 * 1024 * 1024
"""Bytes of a file that is written anew within about a second."""
_SCRUBS, _SCRUB_AGAIN = 40, 0.5


@dataclass(frozen=True, slots=True)
class Rule:
    """Days, for tenants that have none of their own; 0 is for ever. tenant: nobody else's."""

    password_days: int
    retention_days: int
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Outlived:
    """A final job whose time is over: what is older than `before`, by the ledger's clock."""

    job_id: str
    tenant_id: str
    created_at: float
    finished_at: float
    count: int
    before: float


@dataclass(frozen=True, slots=True)
class Step:
    """One batch. accounts: how many it changed; done: the job is through; left: it is not, since
    some of its passwords are younger than the job."""

    job_id: str
    accounts: int = 0
    done: bool = False
    left: bool = False


class Keeping(Protocol):
    """The verbs that a ledger has for it. Each is one batch; None: the job is somebody else's just
    now, or is no longer to be touched.

    erase takes the sealed passwords of these accounts, those that were changed lately excepted;
    forget some of the roster as it came, True once that was all of it; erased notes that the job
    has no password left, False where it has. purge deletes accounts; remove deletes what else there
    is of the job, True once that was all of it. forget_deliveries: see posting.py.
    departed tells whether passwords were revealed or exported after these lines of the audit record
    (of tenants that are not named, in the last two hours), and where the records end now.
    scrub leaves nothing of what was deleted in the log of the database, nor, where its file has
    `most` bytes at most, in that; False: others hold it up. A server sees to that itself."""

    async def outlived_passwords(
        self, rule: Rule, after: Outlived | None, limit: int
    ) -> list[Outlived]: ...

    async def outlived_jobs(
        self, rule: Rule, after: Outlived | None, limit: int
    ) -> list[Outlived]: ...

    async def erase(self, job: Outlived, indexes: range) -> int | None: ...

    async def forget(self, job: Outlived, limit: int) -> bool | None: ...

    async def erased(self, job: Outlived) -> bool | None: ...

    async def purge(self, job: Outlived, indexes: range) -> int | None: ...

    async def remove(self, job: Outlived, limit: int) -> bool | None: ...

    async def forget_deliveries(self, limit: int) -> int: ...

    async def departed(self, seen: Mapping[str, int]) -> tuple[bool, dict[str, int]]: ...

    async def scrub(self, most: int) -> bool: ...


async def erase(ledger: Keeping, rule: Rule, without: Container[str] = ()) -> AsyncIterator[Step]:
    """Jobs in `without` are left out."""
    async for job in _each(ledger.outlived_passwords, rule):
        if job.job_id in without:
            continue
        async for accounts, last in _batches(job, ledger.erase):
            yield Step(job.job_id, accounts)
            if last:
                gone = await _to_its_end(partial(ledger.forget, job, CHUNKS))
                whole = await _in_turn(ledger.erased(job)) if gone else None
                yield Step(job.job_id, done=whole is True, left=whole is False)


async def purge(ledger: Keeping, rule: Rule) -> AsyncIterator[Step]:
    """Accounts first, then what else there is of a job, then the job."""
    async for job in _each(ledger.outlived_jobs, rule):
        async for accounts, last in _batches(job, ledger.purge):
            yield Step(job.job_id, accounts)
            if last:
                gone = await _to_its_end(partial(ledger.remove, job, BATCH))
                yield Step(job.job_id, done=gone is True)


async def survey(ledger: Keeping, rule: Rule) -> dict[str, int]:
    """What the two above would do: jobs, and how many accounts they have."""
    found: dict[str, int] = {}
    for name, page in (
        ("erase", ledger.outlived_passwords),
        ("purge", ledger.outlived_jobs),
    ):
        counts = [job.count async for job in _each(page, rule)]
        found |= {f"{name}_jobs": len(counts), f"{name}_accounts": sum(counts)}
    return found


async def scrubbed(ledger: Keeping, most: int = 0) -> bool:
    """Waits for others, but not for ever."""
    for _ in range(_SCRUBS):
        if await ledger.scrub(most):
            return True
        await asyncio.sleep(_SCRUB_AGAIN)
    return False


_Pages = Callable[[Rule, Outlived | None, int], Awaitable[Sequence[Outlived]]]


async def _each(pages: _Pages, rule: Rule) -> AsyncIterator[Outlived]:
    after = None
    while page := await pages(rule, after, _PAGE):
        for job in page:
            yield job
        after = page[-1]


async def _batches(
    job: Outlived, verb: Callable[[Outlived, range], Awaitable[int | None]]
) -> AsyncIterator[tuple[int, bool]]:
    """How many accounts each one changed, and whether it was the last; it ends before that where
    the job is somebody else's."""
    for first in range(0, max(job.count, 1), BATCH):
        last = min(first + BATCH, job.count)
        changed = await _in_turn(verb(job, range(first, last)))
        if changed is None:
            return
        yield changed, last == job.count


async def _to_its_end(verb: Callable[[], Awaitable[bool | None]]) -> bool | None:
    """Until it is done, or not ours any more."""
    done: bool | None = False
    while done is False:
        done = await _in_turn(verb())
    return done


async def _in_turn(verb: Awaitable[T]) -> T:
    """Afterwards others have the ledger for as long."""
    began = time.monotonic()
    answer = await verb
    await asyncio.sleep(time.monotonic() - began)
    return answer
