"""The audit record: who did what, when, from where. Written in the transaction of the act."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Act, Actor, Chain, Line
from botrix.errors import NotFound
from botrix.ledger.engine import begin, now
from botrix.ledger.tables import audit, tenants

_PAGE = 1000


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
        async with begin(engine) as db:
            rows = (await db.execute(query.order_by(audit.c.n).limit(page))).mappings().all()
        for row in rows:
            yield dict(row)
        if len(rows) < page:
            return
        after = rows[-1]["n"]
        most = None if most is None else most - len(rows)


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
