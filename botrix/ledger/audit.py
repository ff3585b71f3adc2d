"""The audit record: who did what, when, from where. Written in the transaction of the act."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Act, Actor, Chain, Line
from botrix.errors import NotFound
from botrix.ledger.engine import begin, now, to_its_end
from botrix.ledger.tables import audit, tenants

_PAGE = 1000
_SEARCHED = 20_000
"""Lines that one search looks at, so that it is as quick where it finds nothing."""


async def note_act(db: AsyncConnection, act: Act, actor: Actor) -> None:
    """Appends to the chain of the tenant, whose row is locked until the transaction ends."""
    mine = tenants.c.id == act.tenant_id
    query = sa.select(tenants.c.audit_n, tenants.c.audit_hash, now()).where(mine)
    n, before, at = (await db.execute(query.with_for_update(key_share=True))).one()
    chain = Chain(n, before)
    await db.execute(sa.insert(audit).values(chain.add(act, actor, at)))
    await db.execute(sa.update(tenants).where(mine).values(audit_n=chain.n, audit_hash=chain.hash))


async def lines(
    engine: AsyncEngine, tenant: str, after: int = 0, most: int | None = None
) -> AsyncIterator[dict[str, Any]]:
    """In order, after line `after`."""
    while most is None or most > 0:
        page = _PAGE if most is None else min(_PAGE, most)
        query = sa.select(audit).where(audit.c.tenant_id == tenant, audit.c.n > after)
        rows = await to_its_end(_read(engine, query.order_by(audit.c.n).limit(page)))
        for row in rows:
            yield dict(row)
        if len(rows) < page:
            return
        after = rows[-1]["n"]
        most = None if most is None else most - len(rows)


@dataclass(frozen=True, slots=True)
class Sought:
    """kind: of acts, like job; text: in what is told of them, in whatever case."""

    kind: str = ""
    text: str = ""

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        found = [audit.c.what.startswith(f"{self.kind}.", autoescape=True)] if self.kind else []
        if not self.text:
            return found
        told: sa.ColumnElement[str] = audit.c.who
        for column in (audit.c.address, audit.c.what, audit.c.object, audit.c.detail):
            told = told + " " + column
        as_is = told.contains(self.text, autoescape=True)
        any_case = sa.func.lower(told).contains(self.text.lower(), autoescape=True)
        return [*found, sa.or_(as_is, any_case)]


async def newest(
    engine: AsyncEngine, tenant: str, before: int, limit: int, sought: Sought
) -> tuple[list[dict[str, Any]], int | None]:
    """Backwards, from the line before line `before`; 0: from the end. And the line from which it
    goes on, also where a search found nothing so far."""
    wanted = sought.conditions()
    before = before or await _end(engine, tenant) + 1
    least = max(before - _SEARCHED, 1) if wanted else 1
    mine = (audit.c.tenant_id == tenant, audit.c.n < before, audit.c.n >= least)
    query = sa.select(audit).where(*mine, *wanted).order_by(audit.c.n.desc()).limit(limit)
    rows = [dict(row) for row in await _read(engine, query)]
    reached = rows[-1]["n"] if len(rows) == limit else least
    return rows, reached if reached > 1 else None


async def _end(engine: AsyncEngine, tenant: str) -> int:
    async with begin(engine) as db:
        query = sa.select(tenants.c.audit_n).where(tenants.c.id == tenant)
        return int((await db.execute(query)).scalar() or 0)


async def _read(engine: AsyncEngine, query: sa.Select[Any]) -> Sequence[sa.RowMapping]:
    async with begin(engine) as db:
        rows: Sequence[sa.RowMapping] = (await db.execute(query)).mappings().all()
        return rows


class Verdict:
    """What a look at a chain came to. problem: None where it is whole."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.n = 0
        self.hash = ""
        self.problem: str | None = None


async def verify(engine: AsyncEngine, tenant: str, seen: tuple[int, str] | None = None) -> Verdict:
    """Reads the whole chain, and compares its end with the one that the tenant's row holds. seen:
    number and hash of a line as somebody wrote them down. Raises NotFound for no tenant."""
    found = Verdict(tenant)
    async with begin(engine) as db:
        query = sa.select(tenants.c.audit_n, tenants.c.audit_hash).where(tenants.c.id == tenant)
        end = (await db.execute(query)).first()
    if end is None:
        raise NotFound(f"there is no tenant {tenant!r}; see: botrix tenant list")
    n, digest = end
    async for row in lines(engine, tenant, most=n):
        kept = row.pop("hash")
        if row["n"] != found.n + 1:
            found.problem = f"line {found.n + 1} is missing"
            return found
        found.n, found.hash = row["n"], Line(**row).hash(found.hash)
        if found.hash != kept or (seen and seen[0] == found.n and seen[1] != kept):
            found.problem = f"line {found.n} was changed, or one before it"
            return found
    if (found.n, found.hash) != (n, digest):
        found.problem = f"the last lines are missing: it ends with line {found.n}, not {n}"
    elif seen and seen[0] > n:
        found.problem = f"the last lines are missing: there was a line {seen[0]}, it ends with {n}"
    return found
