"""Receivers of events, and the events on their way to them."""

from __future__ import annotations

import sqlalchemy as sa

from botrix.ledger.tables.base import metadata, one_of, tenant
from botrix.states import (
    DeliveryStatus,
)

webhooks = sa.Table(  # secret: sealed, in base64, perhaps with the one before it, which signs until
    # the config's old_until; events: JSON, or NULL for all; config: JSON
    "webhooks",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    tenant(),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("events", sa.Text),
    sa.Column("config", sa.Text, nullable=False, server_default="{}"),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("disabled_at", sa.Double),
    sa.Column("disabled_reason", sa.Text),
    sa.Column("failing_since", sa.Double),
    sa.Column("quiet_until", sa.Double),
)
sa.Index("ix_webhooks_tenant", webhooks.c.tenant_id)

deliveries = sa.Table(  # the outbox: triggers on jobs write it, in the transaction that moved one
    "deliveries",
    metadata,
    sa.Column(
        "n", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True,
        autoincrement=True,
    ),
    tenant(),
    sa.Column(
        "webhook_id", sa.Text, sa.ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("job_id", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("status", sa.Text, nullable=False, server_default=DeliveryStatus.WAITING.value),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_at", sa.Double, nullable=False, server_default="0"),
    sa.Column("problem", sa.Text),
    sa.Column("sent_at", sa.Double),
    one_of("status", DeliveryStatus),
)  # fmt: skip
_WAITING = sa.text("status = 'waiting'")
sa.Index(
    "ix_deliveries_due", deliveries.c.next_at, sqlite_where=_WAITING, postgresql_where=_WAITING
)
sa.Index("ix_deliveries_tenant", deliveries.c.tenant_id, deliveries.c.status, deliveries.c.n)
sa.Index("ix_deliveries_webhook", deliveries.c.webhook_id, deliveries.c.status, deliveries.c.n)
sa.Index(
    "ix_deliveries_next",
    deliveries.c.webhook_id,
    deliveries.c.next_at,
    deliveries.c.n,
    sqlite_where=_WAITING,
    postgresql_where=_WAITING,
)
_OVER = sa.text("status <> 'waiting'")
sa.Index(
    "ix_deliveries_over",
    deliveries.c.status,
    deliveries.c.at,
    sqlite_where=_OVER,
    postgresql_where=_OVER,
)
