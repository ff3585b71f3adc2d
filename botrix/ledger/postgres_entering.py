"""Jobs enter a ledger on PostgreSQL by one statement, which commits itself: those without a key,
that are to be run at once, of tenants without quotas. Others take the transaction of
`postgres_verbs.submit`.

The tenants are locked first. So their audit records end where the statement sees them end, and the
lines are hashed here as `audit.Line` does: JSON, its number as Python writes it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from botrix.audit import around
from botrix.ledger.ledger import Submission, Submitted
from botrix.ledger.postgres_rows import Db
from botrix.ledger.postgres_verbs import INSERT_INTO_JOBS, job_columns
from botrix.ledger.quotas import LIMITED

_QUIET = 10.0

WRITTEN = "at || CASE WHEN scale(at) = 0 THEN '.0' ELSE '' END"
"""A numeric of no more than six digits behind the point, and no zeros at its end, as Python writes
the float."""
ENTER = f"""
WITH RECURSIVE locked AS MATERIALIZED (
  SELECT t.id, t.audit_n, t.audit_hash, {LIMITED} AS limited
  FROM tenants t WHERE t.id = ANY ($12::text[]) ORDER BY t.id FOR NO KEY UPDATE
), clock AS MATERIALIZED (
  SELECT trim_scale(extract(epoch FROM clock_timestamp())) AS at FROM locked
  HAVING count(*) = cardinality($12::text[]) AND NOT bool_or(limited)
), t AS MATERIALIZED (
  SELECT at::float8 AS now, {WRITTEN} AS written FROM clock
), entered AS (
  {INSERT_INTO_JOBS} RETURNING id, place, created_at
), chain AS (
  SELECT l.id, l.audit_n AS n, l.audit_hash AS hash, u.head, u.i, u.till, t.written,
    false AS new
  FROM t, unnest($12::text[], $13::text[], $14::int[], $15::int[]) u (id, head, i, till), locked l
  WHERE l.id = u.id
  UNION ALL
  SELECT c.id, c.n + 1, encode(sha256(convert_to(
      '["' || c.hash || c.head || c.n + 1 || ',' || c.written || ($16::text[])[c.i + 1], 'UTF8'
    )), 'hex'), c.head, c.i + 1, c.till, c.written, true
  FROM chain c WHERE c.i < c.till
), lines AS (
  SELECT array_agg(c.n ORDER BY c.i) AS n, array_agg(c.hash ORDER BY c.i) AS hash
  FROM chain c WHERE c.new
), noted AS (
  INSERT INTO audit (tenant_id, n, at, who, address, what, object, detail, hash)
  SELECT u.tenant_id, u.n, t.now, u.who, u.address, u.what, u.object, u.detail, u.hash
  FROM t, lines l, unnest($17::text[], l.n, $18::text[], $19::text[], $20::text[], $21::text[],
                          $22::text[], l.hash)
       u (tenant_id, n, who, address, what, object, detail, hash)
), ended AS (
  UPDATE tenants t SET audit_n = c.n, audit_hash = c.hash
  FROM chain c WHERE c.i = c.till AND t.id = c.id
)
SELECT id, place, created_at FROM entered
"""


class Entering:
    """Does not try in vain for a while, where it found quotas."""

    def __init__(self) -> None:
        self._limited: dict[str, float] = {}

    def can(self, submissions: Sequence[Submission]) -> bool:
        """Whether nothing of theirs needs a transaction, as far as is known."""
        now = time.monotonic()
        return all(
            one.key is None
            and one.job.is_plain
            and self._limited.get(one.job.tenant_id, now) <= now
            for one in submissions
        )

    async def enter(self, db: Db, submissions: Sequence[Submission]) -> list[Submitted] | None:
        """None, and nothing is written, where a tenant has quotas."""
        columns = job_columns([one.job for one in submissions])
        rows = await db.fetch(ENTER, *columns, True, *_line_columns(submissions))
        if not rows:
            until = time.monotonic() + _QUIET
            self._limited.update((one.job.tenant_id, until) for one in submissions)
            return None
        entered = {row["id"]: row for row in rows}
        return [_submitted(entered[one.job.id]) for one in submissions]


def _submitted(row: Any) -> Submitted:
    return Submitted(row["id"], row["place"], at=row["created_at"])


def _line_columns(submissions: Sequence[Submission]) -> tuple[list[Any], ...]:
    """Those of a tenant side by side, since they are a chain."""
    acts = sorted(((one.act, one.actor) for one in submissions), key=lambda one: one[0].tenant_id)
    tenants: list[str] = []
    heads: list[str] = []
    ends: list[int] = []
    tails: list[str] = []
    for act, actor in acts:
        head, tail = around(act, actor)
        if not tenants or tenants[-1] != act.tenant_id:
            tenants.append(act.tenant_id)
            heads.append(head)
            ends.append(ends[-1] if ends else 0)
        ends[-1] += 1
        tails.append(tail)
    return (
        tenants,
        heads,
        [0, *ends[:-1]],
        ends,
        tails,
        [act.tenant_id for act, _ in acts],
        [actor.who for _, actor in acts],
        [actor.address for _, actor in acts],
        [act.what for act, _ in acts],
        [act.object for act, _ in acts],
        [act.detail for act, _ in acts],
    )
