"""Many jobs cancelled or tried again at once: found page by page, done one by one, each in a
transaction of its own, so that nobody waits for all of them. What is not done within a while, or
above the limit, is left to the next call, which goes on behind the last job looked at.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Actor
from botrix.errors import Conflict, InvalidInput, NotFound
from botrix.ledger.engine import begin
from botrix.ledger.idempotency import first_use
from botrix.ledger.job_lists import WHOLE, kinds
from botrix.ledger.queries import Queries
from botrix.ledger.ranges import Range, merged
from botrix.ledger.tables import accounts, idempotency_keys, jobs
from botrix.states import JobStatus

_WITHIN = 20.0
_PAGE = 100
_EVER = 1e300
_KINDS = 50
_KEY = (jobs.c.created_at, jobs.c.id)
_Cursor = tuple[float, str]
CAN_BE_CANCELLED = (JobStatus.PENDING, JobStatus.RUNNING)
CAN_BE_RETRIED = (JobStatus.FAILED,)
_Act = Callable[[str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Which:
    """All of it is to be so. reason: some account failed for it. Times in seconds since 1970, of
    when the job was accepted: after (or at), and before. cursor: of the answer before."""

    status: JobStatus | None = None
    directory: str | None = None
    reason: str | None = None
    created_after: float | None = None
    created_before: float | None = None
    cursor: str | None = None
    limit: int = 1000

    @property
    def names_all(self) -> bool:
        """Whether it says nothing of them."""
        asked = (self.status, self.directory, self.reason, self.created_after, self.created_before)
        return all(one is None for one in asked)


class Many(msgspec.Struct, array_like=True):
    """What was done with which jobs. next: the cursor to go on with, where there may be more."""

    ids: list[str] = []
    next: str | None = None


class Jobs:
    """Of one tenant, asked by one actor. Each raises InvalidInput for what names no jobs."""

    def __init__(self, engine: AsyncEngine, tenant: str, actor: Actor) -> None:
        self._engine = engine
        self._tenant = tenant
        self._actor = actor
        self._queries = Queries(engine)

    async def count(self, which: Which, states: Sequence[JobStatus]) -> tuple[int, str | None]:
        """How many there are, and where to go on counting, if it took too long."""
        states = _states(which, states)
        found, last, ends = 0, which.cursor, time.monotonic() + _WITHIN
        async for page in self._pages(which, states):
            if last != which.cursor and time.monotonic() > ends:
                return found, last
            found += sum(fits for _, _, fits in page)
            last = _cursor(*page[-1][:2])
        return found, None

    async def cancel(self, which: Which, key: str | None = None, mark: str = "") -> Many:
        """mark: of the request, which a second one under its key must share."""

        async def act(job_id: str) -> object:
            return await self._queries.cancel(self._tenant, job_id, self._actor)

        return await self._once(which, CAN_BE_CANCELLED, act, key, f"cancel:{mark}")

    async def retry(self, which: Which, key: str | None = None, mark: str = "") -> Many:
        """With a reason just the accounts that failed for it."""

        async def act(job_id: str) -> object:
            return await self._queries.retry(self._tenant, job_id, self._actor, reason=which.reason)

        return await self._once(which, CAN_BE_RETRIED, act, key, f"retry:{mark}")

    async def _once(
        self, which: Which, states: Sequence[JobStatus], act: _Act, key: str | None, mark: str
    ) -> Many:
        """What was done under the key before is answered as then; what was begun, and cut short, is
        gone on with."""
        states = _states(which, states)
        if key is None:
            return await self._do(which, states, act)
        async with begin(self._engine) as db:
            if not await first_use(db, self._tenant, key, mark, ""):
                query = sa.select(idempotency_keys.c.job_id).where(*self._kept(key))
                before = (await db.execute(query)).scalar_one()
                if before:
                    return msgspec.json.decode(before, type=Many)
        done = await self._do(which, states, act)
        said = msgspec.json.encode(done).decode()  # in place of the one job of other acts
        async with begin(self._engine) as db:
            kept = sa.update(idempotency_keys).where(*self._kept(key))
            await db.execute(kept.values(job_id=said))
        return done

    def _kept(self, key: str) -> tuple[sa.ColumnElement[bool], ...]:
        kept = idempotency_keys.c
        return kept.tenant_id == self._tenant, kept.key == key

    async def _do(self, which: Which, states: Sequence[JobStatus], act: _Act) -> Many:
        """At least one is looked at. Who moved meanwhile, or cannot be tried again since its
        passwords were erased, is passed by."""
        done, last, ends = Many(), which.cursor, time.monotonic() + _WITHIN
        async for page in self._pages(which, states):
            for at, job_id, fits in page:
                late = last != which.cursor and time.monotonic() > ends
                if late or len(done.ids) >= which.limit:
                    return Many(done.ids, last)
                last = _cursor(at, job_id)
                if fits:
                    try:
                        await act(job_id)
                    except (Conflict, NotFound):
                        continue
                    done.ids.append(job_id)
        return done

    async def _pages(
        self, which: Which, states: Sequence[JobStatus]
    ) -> AsyncIterator[list[tuple[float, str, bool]]]:
        """When each was accepted, its id, and whether an account failed for the reason; oldest
        first."""
        after = _read(which.cursor)
        while True:
            async with begin(self._engine, reading=True) as db:
                found = await self._oldest(db, which, states, after)
                fitting = await _failed_for(db, which.reason, [ident for _, ident in found])
            if found:
                yield [(at, ident, ident in fitting) for at, ident in found]
            if len(found) < _PAGE:
                return
            after = found[-1]

    async def _oldest(
        self, db: AsyncConnection, which: Which, states: Sequence[JobStatus], after: _Cursor | None
    ) -> list[_Cursor]:
        """Of each kind a range of its index; see job_lists.py."""
        fitting = [
            kind
            for kind in await kinds(db, self._tenant)
            if kind[2] in states and which.directory in (None, kind[0])
        ]
        found: list[_Cursor] = []
        for n in range(0, len(fitting), _KINDS):
            parts = [self._range(kind, which, after) for kind in fitting[n : n + _KINDS]]
            queries = [part.select(_KEY, _PAGE, db.dialect.name) for part in parts]
            together = merged(queries, ("created_at", "id"), _PAGE, down=False)
            rows = await db.execute(sa.select(together.c.created_at, together.c.id))
            found += [(row.created_at, row.id) for row in rows]
        return sorted(found)[:_PAGE]

    def _range(self, kind: tuple[str, ...], which: Which, after: _Cursor | None) -> Range:
        names = ("tenant_id", "directory", "stage", "status", "created_at", "id")
        since = (-_EVER if which.created_after is None else which.created_after, "")
        until = (_EVER if which.created_before is None else which.created_before, "")
        start = max(since, after or since)
        columns = tuple(jobs.c[name] for name in names)
        return Range(
            "ix_jobs_kind", jobs, columns, (self._tenant, *kind), start, until, False, (WHOLE,)
        )


async def _failed_for(db: AsyncConnection, reason: str | None, ids: Sequence[str]) -> set[str]:
    """Those of which an account failed for it; all where there is none."""
    if reason is None:
        return set(ids)
    failed = sa.text("accounts.status = 'failed'")  # as in ix_accounts_reason, letter by letter
    mine = (accounts.c.job_id == jobs.c.id, failed, accounts.c.reason == reason)
    some = sa.select(accounts.c.idx).where(*mine)
    some = some.with_hint(accounts, "INDEXED BY ix_accounts_reason", "sqlite")
    query = sa.select(jobs.c.id).where(jobs.c.id.in_(ids), some.correlate(jobs).exists())
    return set((await db.execute(query)).scalars())


def _states(which: Which, able: Sequence[JobStatus]) -> Sequence[JobStatus]:
    """Those that are asked for, of those that are able to."""
    if which.names_all:
        raise InvalidInput(
            "name the jobs by at least one of: status, directory, reason, created_after, "
            "created_before"
        )
    if which.status is None:
        return able
    if which.status not in able:
        raise InvalidInput(
            f"no job that is {which.status} can be asked this; status may be: {', '.join(able)}"
        )
    return (which.status,)


def _cursor(at: float, job_id: str) -> str:
    return f"{at!r}~{job_id}"


def _read(cursor: str | None) -> _Cursor | None:
    if cursor is None:
        return None
    text, tilde, ident = cursor.partition("~")
    try:
        at = float(text)
    except ValueError:
        at = math.nan
    if not tilde or not math.isfinite(at):
        raise InvalidInput("cursor: take it from `next` of the answer before")
    return at, ident
