"""Rosters as they came: kept in sealed chunks beside their accounts, read again for what failed.

A chunk goes into the ledger in the transaction of its accounts. Chunks are erased in order, so that
where the first one is there, all are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Container
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Act, Actor
from botrix.errors import Conflict, Gone, NotFound
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin, to_its_end
from botrix.ledger.tables import accounts, bad_rows, jobs, roster_chunks
from botrix.model import NewJob, Source
from botrix.roster import BadRow, Row
from botrix.sealing import Sealer
from botrix.states import AccountStatus
from botrix.upload import Layout, Record, packed, read_layout, said_of, unpacked

_PAGE = 8
"""Chunks that are looked through in one transaction."""
_ERASED_AT_ONCE = 32
_FULL = 512 * 1024
"""Bytes of rows from which on a chunk should end."""


class Copy:
    """What is kept of a roster while it is imported. layout: how its file is written, so far."""

    def __init__(self, sealer: Sealer, job: NewJob, layout: Callable[[], Layout]) -> None:
        self._sealer = sealer
        self._job = job
        self._layout = layout
        self._records: list[Record] = []
        self._size = 0
        self._first = 0

    @property
    def is_full(self) -> bool:
        return self._size >= _FULL

    def add(self, row: Row | BadRow) -> None:
        cut, given = (row.cut, False) if isinstance(row, BadRow) else (False, bool(row.password))
        self._records.append(Record(row.number, row.record, given, cut))
        self._first = self._first or row.number
        self._size += len(row.record)

    def chunk(self, left_out: Container[int]) -> dict[str, Any] | None:
        """What was added since the last one, as a row of the ledger. left_out: numbers of rows that
        become no account, and are kept with their passwords."""
        records, self._records, self._size = self._records, [], 0
        if not records:
            return None
        first, job = records[0].number, self._job
        data = packed(self._layout(), records, left_out)
        return {
            "job_id": job.id, "tenant_id": job.tenant_id,
            "first_row": first, "last_row": records[-1].number,
            "sealed": self._sealer.seal_bytes(data, job.tenant_id, chunk_tag(job.id, first)),
        }  # fmt: skip

    def layout(self) -> str:
        """Of the whole roster, for the ledger."""
        return msgspec.structs.replace(self._layout(), first=self._first).text()


def chunk_tag(job_id: str, first_row: int) -> str:
    """What a chunk is bound to, besides its tenant."""
    return f"roster:{job_id}:{first_row}"


def some_chunks(job_id: str) -> sa.Delete:
    """Erases the next ones, in order."""
    mine = roster_chunks.c.job_id == job_id
    some = sa.select(roster_chunks.c.first_row).where(mine).order_by(roster_chunks.c.first_row)
    which = roster_chunks.c.first_row.in_(some.limit(_ERASED_AT_ONCE))
    return sa.delete(roster_chunks).where(mine, which)


@dataclass(frozen=True, slots=True)
class Upload:
    """A roster that is kept. rows: how many of it failed; left: accounts that are not final yet."""

    job_id: str
    tenant_id: str
    layout: Layout
    rows: int
    left: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A row that did not become an account. idx, sealed: of the account that failed, with its
    password; None where the row was left out, or the password was erased."""

    record: Record
    reason: str
    idx: int | None = None
    sealed: bytes | None = None


class Uploads:
    """All raise LedgerDown where the database does not answer."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self._engine = engine
        self._sealer = sealer

    async def of(self, tenant: str, job_id: str) -> Upload:
        """Raises NotFound; Conflict for a job without a roster; Gone where that was erased."""
        counted = ("count", "created", "existing", "failed", "cancelled", "deleted", "bad_rows")
        query = sa.select(*(jobs.c[name] for name in ("source", "layout", *counted)))
        query = query.where(jobs.c.id == job_id, jobs.c.tenant_id == tenant, ~jobs.c.importing)
        async with begin(self._engine) as db:
            job = (await db.execute(query)).mappings().first()
            if job is None:
                raise NotFound(f"there is no job {job_id!r}; look among all jobs for it")
            if job["source"] != Source.IMPORT:
                raise Conflict(
                    f"job {job_id} came without a roster; its failed accounts: "
                    f"GET /api/jobs/{job_id}/accounts?status=failed, and to try them again: "
                    f"POST /api/jobs/{job_id}/retry"
                )
            if job["layout"] is None:
                raise Gone(f"the roster of job {job_id} was not kept by the release that took it; "
                           + _instead(job_id))  # fmt: skip
            layout = read_layout(job["layout"])
            if layout.first:
                await _require_first(db, job_id, layout)
        final = sum(job[name] for name in counted[1:-1])
        rows = job["failed"] + job["bad_rows"]
        return Upload(job_id, tenant, layout, rows, job["count"] - final)

    async def note(self, upload: Upload, actor: Actor) -> None:
        """That its failed rows were asked for."""
        detail = f"{upload.rows} rows"
        act = Act("job.failed-rows", upload.job_id, detail, upload.tenant_id)
        async with begin(self._engine) as db:
            await note_act(db, act, actor)

    async def failed(self, upload: Upload) -> AsyncIterator[list[Failed]]:
        """By chunks, in the order of the file. Raises Gone where it is erased meanwhile."""
        at = _At()
        while page := await to_its_end(self._read(upload, at)):
            at = page.end
            for first, sealed in page.chunks:
                yield self._among(upload, first, sealed, page)

    async def _read(self, upload: Upload, at: _At) -> _Page | None:
        async with begin(self._engine) as db:
            page = await _page(db, upload.job_id, at)
            if page is not None:
                await _require_first(db, upload.job_id, upload.layout)
            return page

    def _among(self, upload: Upload, first: int, sealed: bytes, page: _Page) -> list[Failed]:
        tag = chunk_tag(upload.job_id, first)
        records = unpacked(self._sealer.unseal_bytes(sealed, upload.tenant_id, tag))
        return [
            replace(page.failed[one.number], record=one)
            for one in records
            if one.number in page.failed
        ]


@dataclass(frozen=True, slots=True)
class _At:
    """Behind which row of the file, and before which account."""

    row: int = -1
    idx: int = 0


@dataclass(frozen=True, slots=True)
class _Page:
    """failed: by row; chunks: those that have one of them."""

    failed: dict[int, Failed]
    chunks: list[tuple[int, bytes]]
    end: _At


async def _page(db: AsyncConnection, job_id: str, at: _At) -> _Page | None:
    """None behind the last one."""
    kept = roster_chunks.c
    spans = sa.select(kept.first_row, kept.last_row).where(kept.job_id == job_id)
    spans = spans.where(kept.first_row > at.row).order_by(kept.first_row).limit(_PAGE)
    found = (await db.execute(spans)).all()
    if not found:
        return None
    first, last = found[0].first_row, found[-1].last_row
    failed = await _left_out(db, job_id, first, last)
    # An account's index is never above its row, and grows with it: this bounds the look through.
    mine = (
        accounts.c.job_id == job_id, accounts.c.idx >= at.idx,
        accounts.c.idx <= at.idx + last - first, accounts.c.row <= last,
    )  # fmt: skip
    failed |= await _refused(db, mine)
    counted = sa.select(sa.func.count()).select_from(accounts).where(*mine)
    end = _At(last, at.idx + (await db.execute(counted)).scalar_one())
    wanted = [a for a, b in found if any(a <= row <= b for row in failed)]
    query = sa.select(kept.first_row, kept.sealed).where(
        kept.job_id == job_id, kept.first_row.in_(wanted)
    )
    chunks = (await db.execute(query.order_by(kept.first_row))).all() if wanted else []
    return _Page(failed, [(row.first_row, bytes(row.sealed)) for row in chunks], end)


_UNREAD = Record(0, b"")


async def _left_out(db: AsyncConnection, job_id: str, first: int, last: int) -> dict[int, Failed]:
    query = sa.select(bad_rows.c.row, bad_rows.c.reason).where(
        bad_rows.c.job_id == job_id, bad_rows.c.row >= first, bad_rows.c.row <= last
    )
    return {row: Failed(_UNREAD, reason) for row, reason in (await db.execute(query)).all()}


async def _refused(
    db: AsyncConnection, mine: tuple[sa.ColumnElement[bool], ...]
) -> dict[int, Failed]:
    names = ("row", "idx", "reason", "detail", "sealed", "username")
    query = sa.select(*(accounts.c[name] for name in names))
    query = query.where(*mine, accounts.c.status == AccountStatus.FAILED)
    return {
        row: Failed(_UNREAD, said_of(username, ": ".join(filter(None, why))), idx, sealed)
        for row, idx, *why, sealed, username in (await db.execute(query)).all()
    }


async def _require_first(db: AsyncConnection, job_id: str, layout: Layout) -> None:
    kept = roster_chunks.c
    query = sa.select(1).where(kept.job_id == job_id, kept.first_row == layout.first)
    if (await db.execute(query)).first() is None:
        raise Gone(f"the roster of job {job_id} was erased, as its time was over; "
                   + _instead(job_id))  # fmt: skip


def _instead(job_id: str) -> str:
    return (
        f"mend your own file by GET /api/jobs/{job_id}/rows and "
        f"GET /api/jobs/{job_id}/accounts?status=failed"
    )
