"""What the triggers on jobs appended to `tallies` is summed up, a row a tenant; see 0007_lists.py.

Who reads sums all rows of a tenant, so it is the same before and after."""

from __future__ import annotations

from botrix.ledger.postgres_rows import Db
from botrix.states import TALLIED

_LISTED = ", ".join(TALLIED)
SUM_UP = f"""
WITH few AS (
  SELECT tenant_id, n FROM tallies WHERE n > 0 ORDER BY tenant_id, n LIMIT $1
  FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM tallies t USING few f WHERE t.tenant_id = f.tenant_id AND t.n = f.n RETURNING t.*
), summed AS (
  INSERT INTO tallies AS t (tenant_id, n, {_LISTED})
  SELECT tenant_id, 0, {", ".join(f"sum({name})" for name in TALLIED)} FROM gone
  GROUP BY tenant_id ORDER BY tenant_id
  ON CONFLICT (tenant_id, n) DO UPDATE
  SET {", ".join(f"{name} = t.{name} + excluded.{name}" for name in TALLIED)}
)
SELECT count(*) FROM gone
"""


async def sum_up(db: Db, limit: int) -> bool:
    """Whether there may be more."""
    return bool(await db.fetchval(SUM_UP, limit) == limit)
