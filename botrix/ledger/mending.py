"""What `botrix reconcile` changes in the ledger: only accounts that are still as they were when
they were compared (state and attempt), so that it may run twice, and beside workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Act, Actor
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin, now
from botrix.ledger.tables import accounts, history, jobs
from botrix.model import GONE
from botrix.states import AccountStatus, Happening, JobStatus, Stage

_CREATED, _DELETED, _FAILED = AccountStatus.CREATED, AccountStatus.DELETED, AccountStatus.FAILED
_FIELDS = ("username", "email", "given_name", "family_name", "display_name", "entry_id")
_LONGEST = 1000
_ANEW = {
    "status": AccountStatus.PLANNED, "entry_id": None, "reason": None, "detail": None, "tries": 0,
    "crashes": 0, "not_before": 0, "in_doubt": False, "revealed_at": None, "resetting_at": None,
}  # fmt: skip
_REOPENED = {
    "status": JobStatus.RUNNING, "due_at": 0, "finished_at": None, "look_at": None,
    "looked_at": None, "exported_at": None, "erased_at": None,
}  # fmt: skip
_undo = jobs.alias()


class Mend(NamedTuple):
    """An account as it was compared. seen: what of the entry is taken over; entry_id: its id."""

    idx: int
    attempt: int
    entry_id: str | None = None
    status: AccountStatus = _CREATED
    seen: Mapping[str, str] = {}


class Mending:
    """Of one tenant, by one actor. Each verb is about accounts of one job, and answers with the
    indexes of those that it changed. All raise LedgerDown where the database does not answer."""

    def __init__(self, engine: AsyncEngine, tenant: str, actor: Actor) -> None:
        self._engine = engine
        self._tenant = tenant
        self._actor = actor

    async def forget(self, job_id: str, mends: Sequence[Mend]) -> list[int]:
        """Missing ones become deleted; their passwords are of no use any more."""
        change = {"status": _DELETED, "reason": GONE, "sealed": None}

        async def each(db: AsyncConnection, _: Any) -> list[int]:
            done = [one.idx for one in mends if await _change(db, job_id, one, change)]
            await _move(db, job_id, len(done), _CREATED, _DELETED)
            return done

        return await self._do(job_id, each, Happening.GONE, "noted as gone")

    async def anew(
        self, job_id: str, mends: Sequence[Mend], sealed: Callable[[int], bytes]
    ) -> list[int]:
        """Missing ones are planned again, with a new password (the old one may have left). sealed:
        makes it, by index. None of a job that was cancelled or undone."""

        async def each(db: AsyncConnection, job: Any) -> list[int]:
            if not await _goes_on(db, job_id, job):
                return []
            done = [
                one.idx
                for one in mends
                if await _change(db, job_id, one, {**_ANEW, "sealed": sealed(one.idx)})
            ]
            if done:
                change = {**_REOPENED, "created": jobs.c.created - len(done), "updated_at": now()}
                await db.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**change))
            return done

        return await self._do(job_id, each, Happening.ANEW, "to be made anew")

    async def accept(self, job_id: str, mends: Sequence[Mend]) -> list[int]:
        """The ledger takes over what the directory has, but for a name that is another's in it."""

        async def each(db: AsyncConnection, _: Any) -> list[int]:
            return [one.idx for one in mends if await _take_over(db, job_id, one)]

        return await self._do(job_id, each, Happening.TAKEN_OVER, "taken over")

    async def adopt(self, job_id: str, mends: Sequence[Mend]) -> list[int]:
        """What failed, and is there all the same, becomes created."""

        async def each(db: AsyncConnection, _: Any) -> list[int]:
            done = []
            for one in mends:
                change = {"status": _CREATED, "reason": Happening.LANDED, "entry_id": one.entry_id}
                if await _change(db, job_id, one, change):
                    done.append(one.idx)
            await _move(db, job_id, len(done), _FAILED, _CREATED)
            return done

        return await self._do(job_id, each, Happening.LANDED, "adopted")

    async def removed(self, job_id: str, mends: Sequence[Mend]) -> list[int]:
        """What was cancelled or deleted, and was there all the same, is there no more."""
        change = {"status": _DELETED, "reason": Happening.REMOVED}

        async def each(db: AsyncConnection, _: Any) -> list[int]:
            done = [one for one in mends if await _change(db, job_id, one, change)]
            cancelled = sum(one.status is AccountStatus.CANCELLED for one in done)
            await _move(db, job_id, cancelled, AccountStatus.CANCELLED, _DELETED)
            return [one.idx for one in done]

        return await self._do(job_id, each, Happening.REMOVED, "removed")

    async def note_removal(self, tag: str) -> None:
        """That an entry of no account is about to be removed."""
        async with begin(self._engine) as db:
            await note_act(db, Act("entry.remove", tag, "", self._tenant), self._actor)

    async def _do(
        self, job_id: str, each: Callable[[AsyncConnection, Any], Any], what: Happening, told: str
    ) -> list[int]:
        """In one transaction, in which the job is locked before its accounts."""
        columns = (jobs.c.status, jobs.c.stage)
        mine = (jobs.c.id == job_id, jobs.c.tenant_id == self._tenant, ~jobs.c.importing)
        async with begin(self._engine) as db:
            job = (await db.execute(sa.select(*columns).where(*mine).with_for_update())).first()
            done: list[int] = await each(db, job) if job else []
            if not done:
                return []
            noted = {"tenant_id": self._tenant, "job_id": job_id, "what": what.value}
            rows = [{**noted, "idx": idx, "reason": "reconciled"} for idx in done]
            await db.execute(sa.insert(history).values(at=now()), rows)
            detail = f"{len(done)} accounts {told}"
            await note_act(db, Act("job.reconcile", job_id, detail, self._tenant), self._actor)
            return done


async def _change(
    db: AsyncConnection, job_id: str, one: Mend, change: Mapping[str, object]
) -> bool:
    """Whether it was still as it had been."""
    it = (accounts.c.job_id == job_id, accounts.c.idx == one.idx)
    as_it_was = (accounts.c.status == one.status, accounts.c.attempt == one.attempt)
    query = sa.update(accounts).where(*it, *as_it_was).values(**change, updated_at=now())
    return (await db.execute(query)).rowcount == 1


async def _take_over(db: AsyncConnection, job_id: str, one: Mend) -> bool:
    taken = {name: one.seen[name] for name in _FIELDS if name in one.seen}
    if not taken or any(len(text) > _LONGEST for text in taken.values()):
        return False
    free = await _is_free(db, job_id, one.idx, taken.get("username"))
    return free and await _change(db, job_id, one, taken)


async def _move(
    db: AsyncConnection, job_id: str, n: int, old: AccountStatus, new: AccountStatus
) -> None:
    """The counters of a job; one that had failed is complete once nothing of it failed."""
    if n == 0:
        return
    change = {old.value: jobs.c[old.value] - n, new.value: jobs.c[new.value] + n}
    complete = sa.and_(jobs.c.status == JobStatus.FAILED, jobs.c.failed == n)
    if old is _FAILED:
        change["status"] = sa.case((complete, JobStatus.COMPLETED.value), else_=jobs.c.status)
    query = sa.update(jobs).where(jobs.c.id == job_id).values(**change, updated_at=now())
    await db.execute(query)


async def _goes_on(db: AsyncConnection, job_id: str, job: Any) -> bool:
    """Whether workers would make accounts of it: those of one that was cancelled or undone are not
    wanted."""
    final = (JobStatus.CANCELLED, JobStatus.CANCELLING)
    if job.status in final or job.stage != Stage.CREATE:
        return False
    undone = sa.select(1).where(_undo.c.undoes == job_id).limit(1)
    return (await db.execute(undone)).first() is None


async def _is_free(db: AsyncConnection, job_id: str, idx: int, username: str | None) -> bool:
    if username is None:
        return True
    same = sa.func.lower(accounts.c.username) == sa.func.lower(username)
    other = sa.select(1).where(accounts.c.job_id == job_id, accounts.c.idx != idx, same).limit(1)
    return (await db.execute(other)).first() is None
