"""Who may do what: tenants, keys, sign-ins, and the audit record."""

from __future__ import annotations

import sqlalchemy as sa

from botrix.ledger.tables.base import metadata, one_of, tenant
from botrix.model import DEFAULT_TENANT
from botrix.roles import Role

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
    tenant(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double),
    sa.Column("last_used_at", sa.Double),
    sa.Column("revoked_at", sa.Double),
    sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
    one_of("role", Role),
)
sa.Index("ix_keys_tenant", keys.c.tenant_id)

sign_ins = sa.Table(  # digest: SHA-256 of the cookie
    "sign_ins",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    tenant(),
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
