"""The history of a job, or of one account of it, by the page."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from botrix.ledger.ranges import Range, merged
from botrix.ledger.tables import history, sessions


def page(
    tenant: str, job_id: str, index: int | None, after: int, limit: int, dialect: str
) -> sa.Select[Any]:
    """In order, after note `after`; index: of this account, and of its job. Each with the worker
    whose session it was."""
    mine = history.c.tenant_id == tenant
    of_job = sa.and_(history.c.job_id == job_id, mine, history.c.n > after)
    if index is None:
        columns = (history.c.job_id, history.c.n)
        notes = Range("ix_history_job", history, columns, (job_id,), (after,), where=(mine,))
        found = notes.select(list(history.c), limit, dialect).subquery("found")
    else:  # the notes of a large job are many, and hardly any of them are of one account
        parts = [
            sa.select(history).where(of_job, whose).limit(limit)
            .with_hint(history, "INDEXED BY ix_history_account", "sqlite")
            .order_by(history.c.job_id, history.c.idx, history.c.n)
            for whose in (history.c.idx == index, history.c.idx.is_(None))
        ]  # fmt: skip
        found = merged(parts, ("n",), limit, down=False)
    query = sa.select(found, sessions.c.worker_id)
    query = query.outerjoin(sessions, sessions.c.id == found.c.session_id)
    return query.order_by(found.c.n)
