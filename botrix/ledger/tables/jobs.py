"""Jobs, what they came from, and what became of them."""

from __future__ import annotations

import sqlalchemy as sa

from botrix.ledger.tables.base import count, metadata, one_of, tenant
from botrix.model import DEFAULT_TENANT, Lane, Source
from botrix.states import TALLIED, JobStatus, OnConflict, Stage

place_sequence = sa.Sequence("place_sequence", metadata=metadata)

counters = sa.Table(  # SQLite's stand-in for the sequence
    "counters",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
    tenant(),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    tenant(),
    sa.Column("status", sa.Text, nullable=False, server_default=JobStatus.PENDING.value),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("lane", sa.Text, nullable=False, server_default=Lane.NORMAL.value),
    sa.Column("directory", sa.Text, nullable=False),
    sa.Column("template", sa.Text),
    sa.Column("tries", sa.Integer, nullable=False, server_default="4"),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("next_index", sa.Integer, nullable=False, server_default="0"),
    count("created"),
    count("existing"),
    count("failed"),
    count("cancelled"),
    count("deleted"),
    count("retried"),
    sa.Column("place", sa.BigInteger),
    sa.Column("due_at", sa.Double),
    sa.Column("not_before", sa.Double),
    sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("importing", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("bad_rows", sa.Integer, nullable=False, server_default="0"),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("finished_at", sa.Double),
    sa.Column("look_at", sa.Double),
    sa.Column("looked_at", sa.Double),
    sa.Column("exported_at", sa.Double),
    sa.Column("erased_at", sa.Double),
    sa.Column("held", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("groups", sa.Text),
    sa.Column("stage", sa.Text, nullable=False, server_default=Stage.CREATE.value),
    sa.Column("waits", sa.Text),
    sa.Column("reach", sa.Integer),
    sa.Column("gate", sa.Double),
    sa.Column("max_failures", sa.Integer),
    sa.Column("on_conflict", sa.Text, nullable=False, server_default=OnConflict.SKIP.value),
    count("look"),
    count("walked"),
    count("to_create"),
    count("to_adopt"),
    count("to_conflict"),
    count("moved"),
    sa.Column("undoes", sa.Text),
    sa.Column("digest", sa.Text),
    sa.Column("layout", sa.Text),
    sa.Column("traceparent", sa.Text),
    one_of("status", JobStatus),
    one_of("source", Source),
    one_of("lane", Lane),
    sa.CheckConstraint("count >= 0 AND next_index BETWEEN 0 AND count", name="ck_cursor"),
    sa.CheckConstraint(
        "created >= 0 AND existing >= 0 AND failed >= 0 AND cancelled >= 0 AND deleted >= 0"
        " AND created + existing + failed + cancelled + deleted <= count",
        name="ck_totals",
    ),
    sa.CheckConstraint(
        "status NOT IN ('completed', 'failed', 'cancelled')"
        " OR created + existing + failed + cancelled + deleted = count",
        name="ck_final_adds_up",
    ),
    sa.CheckConstraint("status <> 'completed' OR failed = 0", name="ck_completed"),
    sa.CheckConstraint(
        "place IS NULL OR (status IN ('pending', 'running', 'cancelling') AND NOT importing)",
        name="ck_place",
    ),
)
sa.Index(
    "ix_jobs_line",
    jobs.c.lane,
    jobs.c.place,
    sqlite_where=jobs.c.place.is_not(None),
    postgresql_where=jobs.c.place.is_not(None),
)
sa.Index(
    "ix_jobs_due",
    jobs.c.due_at,
    sqlite_where=jobs.c.due_at.is_not(None),
    postgresql_where=jobs.c.due_at.is_not(None),
)
sa.Index(
    "ix_jobs_look",
    jobs.c.look_at,
    sqlite_where=jobs.c.look_at.is_not(None),
    postgresql_where=jobs.c.look_at.is_not(None),
)
_OPEN = sa.text("status IN ('pending', 'running', 'cancelling')")
sa.Index("ix_jobs_open", jobs.c.tenant_id, sqlite_where=_OPEN, postgresql_where=_OPEN)
sa.Index(
    "ix_jobs_waiting",
    jobs.c.tenant_id,
    jobs.c.lane,
    jobs.c.place,
    sqlite_where=jobs.c.place.is_not(None),
    postgresql_where=jobs.c.place.is_not(None),
)
_KEPT = sa.text("erased_at IS NULL AND finished_at IS NOT NULL")
sa.Index("ix_jobs_kept", jobs.c.finished_at, sqlite_where=_KEPT, postgresql_where=_KEPT)
sa.Index(  # held: its directory is paused, so that it has no place
    "ix_jobs_held",
    jobs.c.tenant_id,
    jobs.c.directory,
    jobs.c.created_at,
    sqlite_where=sa.text("held"),
    postgresql_where=sa.text("held"),
)
sa.Index(
    "ix_jobs_undoes",
    jobs.c.undoes,
    sqlite_where=jobs.c.undoes.is_not(None),
    postgresql_where=jobs.c.undoes.is_not(None),
)
sa.Index("ix_jobs_tenant", jobs.c.tenant_id, jobs.c.created_at, jobs.c.id)
_WHOLE = sa.text("NOT importing")
sa.Index(  # every filter of a list is some ranges of it
    "ix_jobs_kind",
    *(jobs.c[name] for name in ("tenant_id", "directory", "stage", "status", "created_at", "id")),
    sqlite_where=_WHOLE,
    postgresql_where=_WHOLE,
)
sa.Index(
    "ix_jobs_waits",
    *(jobs.c[name] for name in ("tenant_id", "waits", "created_at", "id")),
    sqlite_where=jobs.c.waits.is_not(None),
    postgresql_where=jobs.c.waits.is_not(None),
)

tally_sequence = sa.Sequence("tally_sequence", metadata=metadata)

tallies = (
    sa.Table(  # how many jobs there are, whole ones, and their sums: triggers on jobs write it
        "tallies",
        metadata,
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("n", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.BigInteger, nullable=False, server_default="0") for name in TALLIED),
        sqlite_with_rowid=False,
    )
)

bad_rows = sa.Table(
    "bad_rows",
    metadata,
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("row", sa.Integer, primary_key=True),
    tenant(),
    sa.Column("reason", sa.Text, nullable=False),
)

roster_chunks = sa.Table(  # sealed: some hundred rows as they came; see botrix/upload.py
    "roster_chunks",
    metadata,
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("first_row", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("last_row", sa.Integer, nullable=False),
    tenant(),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)

templates = sa.Table(  # body: JSON
    "templates",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True, server_default=DEFAULT_TENANT),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
)

history = sa.Table(
    "history",
    metadata,
    sa.Column(
        "n", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True,
        autoincrement=True,
    ),
    tenant(),
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("idx", sa.Integer),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer),
    sa.Column("session_id", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("detail", sa.Text),
)  # fmt: skip
sa.Index("ix_history_job", history.c.job_id, history.c.n)
sa.Index("ix_history_account", history.c.job_id, history.c.idx, history.c.n)
