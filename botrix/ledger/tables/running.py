"""What runs (sessions), and what it speaks to (directories)."""

from __future__ import annotations

import sqlalchemy as sa

from botrix.ledger.tables.base import metadata, one_of, tenant
from botrix.model import DEFAULT_TENANT
from botrix.states import (
    DirectoryStatus,
    SessionStatus,
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    tenant(),
    sa.Column("worker_id", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False, server_default=SessionStatus.LIVE.value),
    sa.Column("beat", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    sa.Column("wanted", sa.Text),
    one_of("status", SessionStatus),
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
    one_of("status", DirectoryStatus),
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
