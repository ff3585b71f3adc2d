"""The one definition of every table. Migrations are compared with it by a test.

Times are seconds since 1970 (UTC) by the clock of the database, so that no two machines' clocks
are ever compared. The sequence of places is a real one on PostgreSQL and a row on SQLite.
"""

from __future__ import annotations

from enum import StrEnum

import sqlalchemy as sa

from botrix.model import (
    DEFAULT_TENANT,
    AccountStatus,
    DirectoryStatus,
    JobStatus,
    Lane,
    Role,
    SessionStatus,
    Source,
)

metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"}
)


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant_id", sa.Text, nullable=False, server_default=DEFAULT_TENANT)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default="0")


def _one_of(column: str, words: type[StrEnum]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=f"ck_{words.__name__.lower()}")


tenants = sa.Table(  # quotas: NULL is none
    "tenants",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("open_jobs", sa.Integer),
    sa.Column("accounts_per_job", sa.Integer),
    sa.Column("accounts_per_day", sa.Integer),
    sa.Column("requests_per_minute", sa.Integer),
    sa.Column("password_days", sa.Integer),
    sa.Column("retention_days", sa.Integer),
    sa.Column("day", sa.Integer, nullable=False, server_default="0"),
    sa.Column("accounts_today", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("audit_n", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("audit_hash", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", sa.Double, nullable=False),
)

keys = sa.Table(  # digest: SHA-256 of the secret, which is kept nowhere
    "keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _tenant(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double),
    sa.Column("last_used_at", sa.Double),
    sa.Column("revoked_at", sa.Double),
    sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
    _one_of("role", Role),
)
sa.Index("ix_keys_tenant", keys.c.tenant_id)

sign_ins = sa.Table(  # digest: SHA-256 of the cookie
    "sign_ins",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    _tenant(),
    sa.Column("key_id", sa.Text, sa.ForeignKey("keys.id", ondelete="CASCADE"), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
)
sa.Index("ix_sign_ins_age", sign_ins.c.expires_at)

audit = sa.Table(  # append-only: triggers refuse the rest
    "audit",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("n", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)

place_sequence = sa.Sequence("place_sequence", metadata=metadata)

counters = sa.Table(  # SQLite's stand-in for the sequence
    "counters",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
    _tenant(),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _tenant(),
    sa.Column("status", sa.Text, nullable=False, server_default=JobStatus.PENDING.value),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("lane", sa.Text, nullable=False, server_default=Lane.NORMAL.value),
    sa.Column("directory", sa.Text, nullable=False),
    sa.Column("template", sa.Text),
    sa.Column("tries", sa.Integer, nullable=False, server_default="4"),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("next_index", sa.Integer, nullable=False, server_default="0"),
    _count("created"),
    _count("existing"),
    _count("failed"),
    _count("cancelled"),
    _count("deleted"),
    _count("retried"),
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
    _one_of("status", JobStatus),
    _one_of("source", Source),
    _one_of("lane", Lane),
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
sa.Index("ix_jobs_tenant", jobs.c.tenant_id, jobs.c.created_at, jobs.c.id)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("idx", sa.Integer, primary_key=True),
    _tenant(),
    sa.Column("status", sa.Text, nullable=False, server_default=AccountStatus.PLANNED.value),
    sa.Column("username", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("given_name", sa.Text, nullable=False),
    sa.Column("family_name", sa.Text, nullable=False),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("row", sa.Integer),
    sa.Column("session_id", sa.Text),
    sa.Column("last_session", sa.Text),
    sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("crashes", sa.Integer, nullable=False, server_default="0"),
    sa.Column("in_doubt", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("not_before", sa.Double, nullable=False, server_default="0"),
    sa.Column("entry_id", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("detail", sa.Text),
    sa.Column("revealed_at", sa.Double),
    sa.Column("resetting_at", sa.Double),
    sa.Column("extra", sa.Text),
    sa.Column("updated_at", sa.Double, nullable=False),
    _one_of("status", AccountStatus),
    sa.CheckConstraint("(status = 'leased') = (session_id IS NOT NULL)", name="ck_lease"),
    sa.CheckConstraint("status <> 'failed' OR reason IS NOT NULL", name="ck_reason"),
    sqlite_with_rowid=False,
)
sa.Index(
    "ix_accounts_session",
    accounts.c.session_id,
    sqlite_where=accounts.c.session_id.is_not(None),
    postgresql_where=accounts.c.session_id.is_not(None),
)
sa.Index(
    "ix_accounts_open",
    accounts.c.job_id,
    accounts.c.not_before,
    accounts.c.idx,
    sqlite_where=sa.text("status IN ('planned', 'unsure')"),
    postgresql_where=sa.text("status IN ('planned', 'unsure')"),
)
sa.Index(
    "ix_accounts_suspect",
    accounts.c.not_before,
    sqlite_where=sa.text("crashes >= 2 AND status IN ('planned', 'unsure')"),
    postgresql_where=sa.text("crashes >= 2 AND status IN ('planned', 'unsure')"),
)
sa.Index(
    "uq_accounts_roster_name",
    accounts.c.job_id,
    sa.func.lower(accounts.c.username),
    unique=True,
    sqlite_where=accounts.c.row.is_not(None),
    postgresql_where=accounts.c.row.is_not(None),
)

bad_rows = sa.Table(
    "bad_rows",
    metadata,
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("row", sa.Integer, primary_key=True),
    _tenant(),
    sa.Column("reason", sa.Text, nullable=False),
)

history = sa.Table(
    "history",
    metadata,
    sa.Column(
        "n", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True,
        autoincrement=True,
    ),
    _tenant(),
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

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _tenant(),
    sa.Column("worker_id", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False, server_default=SessionStatus.LIVE.value),
    sa.Column("beat", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    _one_of("status", SessionStatus),
    sa.CheckConstraint("(status = 'live') = (ended_at IS NULL)", name="ck_ended"),
)
sa.Index("ix_sessions_status", sessions.c.status, sessions.c.ended_at)

directories = sa.Table(
    "directories",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True, server_default=DEFAULT_TENANT),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("config", sa.Text, nullable=False, server_default="{}"),
    sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("pause_reason", sa.Text),
    sa.Column("secrets", sa.Text, nullable=False, server_default="{}"),
    sa.Column("policy", sa.Text, nullable=False, server_default="{}"),
    sa.Column("created_at", sa.Double, nullable=False),
)

throttles = sa.Table(  # state: JSON of governing.Governed
    "throttles",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True, server_default=DEFAULT_TENANT),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False, server_default=DirectoryStatus.WORKING.value),
    sa.Column("probe_at", sa.Double, nullable=False, server_default="0"),
    sa.Column("holding", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("state", sa.Text, nullable=False, server_default="{}"),
    _one_of("status", DirectoryStatus),
)

throttle_users = sa.Table(
    "throttle_users",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True, server_default=DEFAULT_TENANT),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("session_id", sa.Text, primary_key=True),
    sa.Column("demand", sa.Integer, nullable=False),
    sa.Column("share", sa.Integer, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True, server_default=DEFAULT_TENANT),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("job_id", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)
sa.Index("ix_idempotency_age", idempotency_keys.c.created_at)
