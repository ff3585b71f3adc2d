"""Accounts, each of a job."""

from __future__ import annotations

import sqlalchemy as sa

from botrix.ledger.tables.base import folded, metadata, one_of, tenant
from botrix.states import (
    AccountStatus,
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("idx", sa.Integer, primary_key=True),
    tenant(),
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
    sa.Column("prospect", sa.Text),
    sa.Column("updated_at", sa.Double, nullable=False),
    one_of("status", AccountStatus),
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
_AT_REST = sa.text("session_id IS NULL")
sa.Index(  # leased ones are few, and are not in it: so an account of a job is written to it once
    "ix_accounts_state",
    *(accounts.c[name] for name in ("tenant_id", "status", "job_id", "idx")),
    sqlite_where=_AT_REST,
    postgresql_where=_AT_REST,
)
sa.Index(
    "ix_accounts_name",
    accounts.c.tenant_id,
    folded(accounts.c.username),
    accounts.c.job_id,
    accounts.c.idx,
    postgresql_where=_AT_REST,  # SQLite writes it once in any case, and sooner is cheaper
)
_FORESEEN = sa.text("prospect IN ('adopt', 'conflict')")
sa.Index(
    "ix_accounts_prospect",
    *(accounts.c[name] for name in ("job_id", "prospect", "idx")),
    sqlite_where=_FORESEEN,
    postgresql_where=_FORESEEN,
)
sa.Index(
    "ix_accounts_reason",
    *(accounts.c[name] for name in ("job_id", "reason", "idx", "status")),  # or SQLite reads rows
    sqlite_where=sa.text("status = 'failed'"),
    postgresql_where=sa.text("status = 'failed'"),
)
ROSTER_NAME = "uq_accounts_roster_name"
sa.Index(
    ROSTER_NAME,
    accounts.c.job_id,
    sa.func.lower(accounts.c.username),
    unique=True,
    sqlite_where=accounts.c.row.is_not(None),
    postgresql_where=accounts.c.row.is_not(None),
)
