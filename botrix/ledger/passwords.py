"""Passwords leave the ledger once: what is read is erased in the same transaction.

An answer that was lost is made good by a reset, never by a second reveal; see
docs/decisions/0020-revealed-once.md.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Act, Actor
from botrix.errors import Conflict, Gone, NotFound
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin, now
from botrix.ledger.idempotency import first_use, was_used
from botrix.ledger.tables import accounts, jobs
from botrix.states import FINAL_JOB, AccountStatus

Row = dict[str, Any]
Opened = Callable[[bytes, int], str]
"""(sealed, index) -> password."""
_CHUNK = 5000
"""Numbers in one statement; SQLite takes 32,766."""
_UNREVEALED = (
    accounts.c.status == AccountStatus.CREATED,
    accounts.c.revealed_at.is_(None),
    accounts.c.sealed.is_not(None),
)
_ERASED = {"sealed": None, "revealed_at": now()}
_PERSON = ("username", "email", "given_name", "family_name", "display_name")


class Taken(NamedTuple):
    """An account that is being reset. at: by the ledger's clock; who takes over has another."""

    tenant_id: str
    job_id: str
    idx: int
    entry_id: str
    at: float


class Part(NamedTuple):
    """Of an export. left: passwords that are still there."""

    content: bytes
    accounts: int
    left: int


class Passwords:
    """All raise LedgerDown where the database does not answer, and NotFound for what is not the
    tenant's."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def reveal(
        self, tenant: str, job_id: str, index: int, opened: Opened, actor: Actor,
        key: str | None = None,
    ) -> tuple[str, str]:  # fmt: skip
        """User name and password; of many calls at a time one gets it. Raises Conflict, or Gone
        where it has left before. What `opened` raises leaves all as it was."""
        account_id = f"{job_id}:{index}"
        async with begin(self._engine) as db:
            row = await _locked(db, tenant, job_id, index)
            first = await first_use(db, tenant, key, f"reveal:{account_id}", job_id)
            if row["revealed_at"] is not None or row["sealed"] is None:
                how = "erased, as its time was over" if row["revealed_at"] is None else "revealed"
                raise Gone(
                    f"the password of {account_id} was {how}; if the answer was lost, set a new "
                    f"one: POST /api/accounts/{account_id}/reset"
                )
            if not first:
                raise Gone(f"{account_id} was revealed with this Idempotency-Key; choose a new one")
            password = opened(bytes(row["sealed"]), index)
            await db.execute(sa.update(accounts).where(*_one(job_id, index)).values(**_ERASED))
            await note_act(db, Act("account.reveal", account_id, "", tenant), actor)
        return row["username"], password

    async def begin_reset(
        self, tenant: str, job_id: str, index: int, within: float, key: str | None = None
    ) -> Taken | None:
        """Takes the account for `within` seconds; then another reset may take it over. None: it was
        reset with this key before. Raises Conflict where another has it, or where the password is
        still there to be revealed."""
        account_id = f"{job_id}:{index}"
        async with begin(self._engine) as db:
            row = await _locked(db, tenant, job_id, index)
            if key is not None and await was_used(db, tenant, key, f"reset:{account_id}"):
                return None
            if row["revealed_at"] is None and row["sealed"] is not None:
                raise Conflict(
                    f"the password of {account_id} was not revealed yet; do so: "
                    f"POST /api/accounts/{account_id}/reveal"
                )
            if row["resetting_at"] is not None and row["age"] < within:
                left = math.ceil(within - row["age"])
                raise Conflict(f"{account_id} is being reset; try again in {left} s")
            taken = sa.update(accounts).where(*_one(job_id, index)).values(resetting_at=now())
            at = (await db.execute(taken.returning(accounts.c.resetting_at))).scalar_one()
        return Taken(tenant, job_id, index, row["entry_id"] or "", at)

    async def finish_reset(
        self, taken: Taken, sealed: bytes, actor: Actor, key: str | None = None
    ) -> None:
        """Keeps the new password, which can be revealed once. Raises Conflict where another reset
        took over."""
        account_id = f"{taken.job_id}:{taken.idx}"
        kept = {"sealed": sealed, "revealed_at": None, "resetting_at": None, "updated_at": now()}
        async with begin(self._engine) as db:
            erased = sa.update(jobs).where(jobs.c.id == taken.job_id, jobs.c.erased_at.is_not(None))
            await db.execute(erased.values(erased_at=None))  # there is something to erase again
            mine = (*_is(taken), accounts.c.status == AccountStatus.CREATED)
            if (await db.execute(sa.update(accounts).where(*mine).values(**kept))).rowcount == 0:
                raise Conflict(
                    f"another reset of {account_id} took over; its password counts, not this one"
                )
            await first_use(db, taken.tenant_id, key, f"reset:{account_id}", taken.job_id)
            await note_act(db, Act("account.reset", account_id, "", taken.tenant_id), actor)

    async def leave_reset(self, taken: Taken) -> None:
        """Nothing was changed at the directory, so nobody has to wait."""
        async with begin(self._engine) as db:
            await db.execute(sa.update(accounts).where(*_is(taken)).values(resetting_at=None))

    async def export(
        self, tenant: str, job_id: str, most: int, packed: Callable[[list[Row]], bytes],
        actor: Actor, key: str | None = None, fingerprint: str = "",
    ) -> Part:  # fmt: skip
        """Those of a final job that were never revealed, `most` of them at a time; packed: makes
        the file, in a thread. Raises Conflict, or Gone where none is left, or where this part left
        with the same key before."""
        async with begin(self._engine) as db:
            first = await first_use(db, tenant, key, f"export:{job_id}:{fingerprint}", job_id)
            await _require_exportable(db, tenant, job_id)
            if not first:
                raise Gone("this part left with the same Idempotency-Key; choose a new one")
            mine = (accounts.c.job_id == job_id, *_UNREVEALED)
            columns = (accounts.c[name] for name in ("idx", *_PERSON, "sealed"))
            query = sa.select(*columns).where(*mine).order_by(accounts.c.idx).limit(most)
            rows = [dict(r) for r in (await db.execute(query.with_for_update())).mappings()]
            if not rows:
                raise _nothing_left(job_id)
            content = await asyncio.to_thread(packed, rows)
            await _erase(db, job_id, [row["idx"] for row in rows])
            counted = sa.select(sa.func.count()).select_from(accounts).where(*mine)
            left = (await db.execute(counted)).scalar_one()
            if left == 0:
                done = sa.update(jobs).where(jobs.c.id == job_id)
                await db.execute(done.values(exported_at=now()))
            detail = f"{len(rows)} accounts, {left} left"
            await note_act(db, Act("job.export", job_id, detail, tenant), actor)
        return Part(content, len(rows), left)


async def _locked(db: AsyncConnection, tenant: str, job_id: str, index: int) -> Row:
    """A created account. Raises NotFound, or Conflict for one in another state."""
    names = ("status", "username", "sealed", "revealed_at", "resetting_at", "entry_id")
    age = (now() - accounts.c.resetting_at).label("age")
    query = sa.select(*(accounts.c[name] for name in names), age)
    query = query.where(*_one(job_id, index), accounts.c.tenant_id == tenant)
    row = (await db.execute(query.with_for_update())).mappings().first()
    if row is None:
        raise NotFound(f"there is no account {job_id}:{index}; it may not be planned yet")
    if row["status"] != AccountStatus.CREATED:
        raise Conflict(
            f"account {job_id}:{index} is {row['status']}; only a created one has a password"
        )
    return dict(row)


async def _require_exportable(db: AsyncConnection, tenant: str, job_id: str) -> None:
    """Locks the job, so that its exports come one after another."""
    query = sa.select(jobs.c.status, jobs.c.exported_at).where(
        jobs.c.id == job_id, jobs.c.tenant_id == tenant, ~jobs.c.importing
    )
    job = (await db.execute(query.with_for_update())).first()
    if job is None:
        raise NotFound(f"there is no job {job_id!r}; look among all jobs for it")
    if job.status not in FINAL_JOB:
        raise Conflict(f"job {job_id} is {job.status}; export it once it is final")
    if job.exported_at is not None:
        raise _nothing_left(job_id)


def _nothing_left(job_id: str) -> Gone:
    return Gone(
        f"no password of job {job_id} is left to export: each was exported, revealed or erased, or "
        f"its account was not created; if one was lost: POST /api/accounts/{job_id}:INDEX/reset"
    )


async def _erase(db: AsyncConnection, job_id: str, indexes: list[int]) -> None:
    """Just these: others may have become ready meanwhile."""
    remaining = iter(indexes)
    while some := list(islice(remaining, _CHUNK)):
        these = (accounts.c.job_id == job_id, accounts.c.idx.in_(some))
        await db.execute(sa.update(accounts).where(*these).values(**_ERASED))


def _one(job_id: str, index: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (accounts.c.job_id == job_id, accounts.c.idx == index)


def _is(taken: Taken) -> tuple[sa.ColumnElement[bool], ...]:
    return (*_one(taken.job_id, taken.idx), accounts.c.resetting_at == taken.at)
