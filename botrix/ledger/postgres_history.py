"""What happened to jobs and accounts, beside the states that their rows show, on PostgreSQL.

Most of it is noted by the statement that makes it happen.
"""

from __future__ import annotations

from collections.abc import Sequence

from botrix.ledger.notes import Note
from botrix.ledger.postgres_rows import NOW, Db

NOTE = f"""
INSERT INTO history (tenant_id, job_id, idx, at, what, attempt, session_id, reason, detail)
SELECT j.tenant_id, u.job_id, u.idx, {NOW}, u.what, u.attempt, u.session_id, u.reason, u.detail
FROM unnest($1::text[], $2::int[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[])
     WITH ORDINALITY u (job_id, idx, what, attempt, session_id, reason, detail, n),
LATERAL (SELECT tenant_id FROM jobs j WHERE j.id = u.job_id) j ORDER BY u.n
"""


async def note(db: Db, notes: Sequence[Note]) -> None:
    """Of jobs that there are. Locks them a little: in a transaction, lock the jobs first."""
    if notes:
        await db.execute(NOTE, *(list(column) for column in zip(*notes, strict=True)))
