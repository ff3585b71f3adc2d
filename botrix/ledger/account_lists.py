"""The lists of accounts: each page reads little more than it shows; see ranges.py.

Leased accounts are in none of the indexes that lists use, so that an account is written to these
but once; they are as few as workers hold, and are read by the index of leases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.ledger.engine import begin
from botrix.ledger.ranges import Query, Range, merged
from botrix.ledger.tables import accounts, folded
from botrix.states import AccountStatus, Prospect

Row = dict[str, Any]
Key = tuple[str, int]
Named = tuple[str, str, int]
ACCOUNT = [
    c for c in accounts.c if c.name not in ("sealed", "session_id", "last_session", "in_doubt")
]
_KEY = (accounts.c.job_id, accounts.c.idx)
_NAME = folded(accounts.c.username)
_NAMED = (_NAME.label("name"), *_KEY)
_AT_REST = accounts.c.session_id.is_(None)
_FAILED = sa.text("accounts.status = 'failed'")
_RARE = "accounts.prospect IN ('adopt', 'conflict')"
_FORESEEN = (Prospect.ADOPT, Prospect.CONFLICT)
_LAST = "\U0010ffff"
_FIRST: Key = ("", -1)
_LEASED = AccountStatus.LEASED.value
_RESTING = tuple(status.value for status in AccountStatus if status.value != _LEASED)
_SEARCHED = 500
"""Names that one page looks at, for those of a status."""


async def of_tenant(
    engine: AsyncEngine, tenant: str, status: str | None, after: Key | None, limit: int
) -> list[Row]:
    """In the order of job and index."""
    async with begin(engine, reading=True) as db:
        wanted = _RESTING if status is None else tuple({status} - {_LEASED})
        ranges = [of_status(tenant, one, (), after or _FIRST) for one in wanted]
        if status in _RESTING:
            query = ranges[0].select(ACCOUNT, limit, db.dialect.name)
            return [dict(row) for row in (await db.execute(query)).mappings()]
        parts = [one.select(_KEY, limit, db.dialect.name) for one in ranges]
        if status in (None, _LEASED):
            parts.append(_leased(_of(tenant), _KEY, after or _FIRST, limit))
        return await _joined(db, merged(parts, ("job_id", "idx"), limit, down=False))


async def of_job(
    engine: AsyncEngine, tenant: str, job_id: str, after: int, limit: int,
    status: str | None = None, reason: str | None = None, prospect: str | None = None,
) -> list[Row]:  # fmt: skip
    """By index. reason: of those that failed; prospect: by the plan."""
    async with begin(engine, reading=True) as db:
        if reason is not None:
            columns = (accounts.c.job_id, accounts.c.reason, accounts.c.idx)
            fixed = (job_id, reason)
            one = Range(
                "ix_accounts_reason",
                accounts,
                columns,
                fixed,
                (after,),
                where=(_FAILED, *_of(tenant)),
            )
        elif status == _LEASED:
            mine = (*_of(tenant), accounts.c.job_id.concat("") == job_id)
            query = _leased(mine, _KEY, (job_id, after), limit)
            return await _joined(db, query.subquery("found"))
        elif prospect in _FORESEEN:
            columns = (accounts.c.job_id, accounts.c.prospect, accounts.c.idx)
            fixed, where = (job_id, prospect), (sa.text(_RARE),)
            one = Range("ix_accounts_prospect", accounts, columns, fixed, (after,), where=where)
        elif status is not None:
            one = of_status(tenant, status, (job_id,), (after,))
        else:
            one = Range("", accounts, _KEY, (job_id,), (after,), where=_of(tenant))
        query = one.select(ACCOUNT, limit, db.dialect.name)
        if prospect is not None:
            query = query.where(*_of(tenant), accounts.c.prospect == prospect)
        if prospect is not None and status is not None:
            query = query.where(accounts.c.status == status)
        return [dict(row) for row in (await db.execute(query)).mappings()]


@dataclass(frozen=True, slots=True)
class Page:
    """last: to go on after; None at the end. A page that searched long may hold less than asked."""

    rows: list[Row]
    last: Named | None


async def named(
    engine: AsyncEngine, tenant: str, name: str, after: Named | None, limit: int, *,
    exactly: bool, status: str | None = None,
) -> Page:  # fmt: skip
    """By name, job and index: whose user name is, or begins with, this one. Capitals count only
    for a whole name."""
    first = folded(sa.literal(name, sa.Text))
    end = first if exactly else folded(sa.literal(name + _LAST, sa.Text))
    start = (first, *_FIRST) if after is None else after
    # a bare column would be replaced by its value in the index's expression, by SQLite
    same = (accounts.c.username.concat("") == name,) if exactly else ()
    searching = status not in (None, _LEASED)
    async with begin(engine, reading=True) as db:
        dialect = db.dialect.name
        where = same if dialect == "sqlite" else (*same, _AT_REST)
        columns = (accounts.c.tenant_id, _NAME, *_KEY)
        one = Range("ix_accounts_name", accounts, columns, (tenant,), start, (end,), where=where)
        parts = []
        if searching:
            seen = (*_NAMED, accounts.c.status)
            parts.append(_of_those(one.select(seen, _SEARCHED, dialect), status, limit))
        elif status is None:
            parts.append(one.select(_NAMED, limit, dialect))
        if status == _LEASED or (status is None and dialect != "sqlite"):
            within = (*_of(tenant), _NAME.between(first, end), *same)
            parts.append(_leased(within, _NAMED, start, limit))
        rows = await _joined(db, merged(parts, ("name", "job_id", "idx"), limit, down=False))
        last = _name_of(rows[-1]) if len(rows) == limit else None
        if last is None and searching:
            last = await _searched_to(db, one)
    return Page([{n: row[n] for n in row if n != "name"} for row in rows], last)


def _of_those(looked_at: Query, status: str | None, limit: int) -> Query:
    part = looked_at.subquery()
    key = (part.c.name, part.c.job_id, part.c.idx)
    return sa.select(*key).where(part.c.status == status).order_by(*key).limit(limit)


def _name_of(row: Row) -> Named:
    return row["name"], row["job_id"], row["idx"]


async def _searched_to(db: AsyncConnection, one: Range) -> Named | None:
    query = one.select(_NAMED, 1, db.dialect.name).offset(_SEARCHED - 1)
    row = (await db.execute(query)).first()
    return None if row is None else (row.name, row.job_id, row.idx)


def _of(tenant: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (accounts.c.tenant_id == tenant,)


def of_status(
    tenant: str, status: str, job: tuple[str, ...] = (), start: tuple[Any, ...] = _FIRST
) -> Range:
    """Leased ones excepted."""
    columns = (accounts.c.tenant_id, accounts.c.status, *_KEY)
    fixed = (tenant, status, *job)
    return Range("ix_accounts_state", accounts, columns, fixed, start, where=(_AT_REST,))


def _leased(
    mine: Sequence[sa.ColumnElement[bool]], key: Sequence[Any], after: tuple[Any, ...], limit: int
) -> Query:
    """All leases are looked at. A job is named in a way that no other index can be entered by."""
    job = accounts.c.job_id.concat("").label("job_id")
    shown = [job if column is accounts.c.job_id else column for column in key]
    order = [c.element if isinstance(c, sa.Label) else c for c in shown]
    types = [c.type for c in order]
    start = [
        v if isinstance(v, sa.ColumnElement) else sa.literal(v, kind)
        for v, kind in zip(after, types, strict=True)
    ]
    query = sa.select(*shown).where(*mine, accounts.c.session_id.is_not(None))
    query = query.where(sa.tuple_(*order) > sa.tuple_(*start)).order_by(*order).limit(limit)
    return query.with_hint(accounts, "INDEXED BY ix_accounts_session", "sqlite")


async def _joined(db: AsyncConnection, found: sa.Subquery) -> list[Row]:
    """The rows of these keys, in their order: one that no index has, or it would be walked."""
    same = sa.and_(accounts.c.job_id == found.c.job_id, accounts.c.idx == found.c.idx)
    name = [found.c.name] if "name" in found.c else []
    query = sa.select(*ACCOUNT, *name).select_from(found.join(accounts, same))
    query = query.order_by(*name, found.c.job_id.concat(""), found.c.idx)
    return [dict(row) for row in (await db.execute(query)).mappings()]
