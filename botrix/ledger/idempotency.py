"""Idempotency-Keys of acts: what was asked with a key before is not done again."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from botrix.errors import InvalidInput
from botrix.ledger.engine import now
from botrix.ledger.tables import idempotency_keys as kept

KEY_WAS_USED = "this Idempotency-Key came with another request; choose a new key"


async def first_use(
    db: AsyncConnection, tenant: str, key: str | None, fingerprint: str, job_id: str
) -> bool:
    """Whether the caller is to act. False: the same was asked with this key before. Raises
    InvalidInput where the key came with something else."""
    if key is None:
        return True
    insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    values = {"tenant_id": tenant, "key": key, "fingerprint": fingerprint, "job_id": job_id}
    entered = insert(kept).values(**values, created_at=now()).on_conflict_do_nothing()
    if (await db.execute(entered)).rowcount == 1:
        return True
    return not await was_used(db, tenant, key, fingerprint)


async def used_by(db: AsyncConnection, tenant: str, key: str) -> tuple[str, str] | None:
    """The job that came of this key, and the fingerprint of what was asked."""
    query = sa.select(kept.c.job_id, kept.c.fingerprint)
    row = (await db.execute(query.where(kept.c.tenant_id == tenant, kept.c.key == key))).first()
    return None if row is None else (row[0], row[1])


async def was_used(db: AsyncConnection, tenant: str, key: str | None, fingerprint: str) -> bool:
    """Whether the same was done with this key before. Raises InvalidInput as above."""
    query = sa.select(kept.c.fingerprint).where(kept.c.tenant_id == tenant, kept.c.key == key)
    before = (await db.execute(query)).scalar_one_or_none()
    if before is not None and before != fingerprint:
        raise InvalidInput(KEY_WAS_USED)
    return before is not None
