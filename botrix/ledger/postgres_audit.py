"""The audit record on PostgreSQL: lines of acts, in the transaction of the acts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botrix.audit import Act, Actor, Chain
from botrix.ledger.postgres_rows import Db

NOTE_ACTS = """
WITH noted AS (
  INSERT INTO audit (tenant_id, n, at, who, address, what, object, detail, hash)
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::float8[], $4::text[], $5::text[], $6::text[],
                       $7::text[], $8::text[], $9::text[])
)
UPDATE tenants t SET audit_n = u.n, audit_hash = u.hash
FROM unnest($10::text[], $11::bigint[], $12::text[]) u (id, n, hash) WHERE t.id = u.id
"""


async def note_acts(db: Db, tenants: Sequence[Any], acts: Sequence[tuple[Act, Actor]]) -> None:
    """tenants: their locked rows, with id, audit_n, audit_hash and now."""
    if not acts:
        return
    chains = {row["id"]: Chain(row["audit_n"], row["audit_hash"]) for row in tenants}
    at = {row["id"]: row["now"] for row in tenants}
    lines = [chains[act.tenant_id].add(act, who, at[act.tenant_id]) for act, who in acts]
    columns = [list(column) for column in zip(*lines, strict=True)]
    ends = [[*chains], [c.n for c in chains.values()], [c.hash for c in chains.values()]]
    await db.execute(NOTE_ACTS, *columns, *ends)
