"""Plans, canaries and stop-loss of jobs, undo; rosters as they came; templates; webhooks with their
outbox; what is wanted of a worker."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for column in _of_jobs():
        op.add_column("jobs", column)
    where = sa.text("undoes IS NOT NULL")
    op.create_index(
        "ix_jobs_undoes", "jobs", ["undoes"], sqlite_where=where, postgresql_where=where
    )
    op.add_column("accounts", sa.Column("prospect", sa.Text()))
    op.add_column("sessions", sa.Column("wanted", sa.Text()))
    _roster_chunks()
    _templates()
    _webhooks()
    _deliveries()


def _of_jobs() -> list[sa.Column[Any]]:
    def count(name: str) -> sa.Column[Any]:
        return sa.Column(name, sa.Integer(), server_default="0", nullable=False)

    return [
        sa.Column("stage", sa.Text(), server_default="create", nullable=False),
        sa.Column("waits", sa.Text()),
        sa.Column("reach", sa.Integer()),
        sa.Column("gate", sa.Double()),
        sa.Column("max_failures", sa.Integer()),
        sa.Column("on_conflict", sa.Text(), server_default="skip", nullable=False),
        *map(count, ("look", "to_create", "to_adopt", "to_conflict", "moved")),
        sa.Column("undoes", sa.Text()),
        sa.Column("digest", sa.Text()),
        sa.Column("layout", sa.Text()),
    ]


def _tenant() -> sa.Column[Any]:
    return sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False)


def _roster_chunks() -> None:
    op.create_table(
        "roster_chunks",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("first_row", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_row", sa.Integer(), nullable=False),
        _tenant(),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "first_row", name="pk_roster_chunks"),
    )


def _templates() -> None:
    op.create_table(
        "templates",
        _tenant(),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name="pk_templates"),
    )


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Text(), nullable=False),
        _tenant(),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("events", sa.Text()),
        sa.Column("config", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("disabled_at", sa.Double()),
        sa.Column("disabled_reason", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    op.create_index("ix_webhooks_tenant", "webhooks", ["tenant_id"])


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column(
            "n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True,
            nullable=False,
        ),
        _tenant(),
        sa.Column("webhook_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("status", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.Double(), server_default="0", nullable=False),
        sa.Column("problem", sa.Text()),
        sa.Column("sent_at", sa.Double()),
        sa.CheckConstraint("status IN ('waiting', 'sent', 'dead')", name="ck_deliverystatus"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("n", name="pk_deliveries"),
    )
    waiting = sa.text("status = 'waiting'")
    op.create_index(
        "ix_deliveries_due", "deliveries", ["next_at"],
        sqlite_where=waiting, postgresql_where=waiting,
    )
    op.create_index("ix_deliveries_tenant", "deliveries", ["tenant_id", "status", "n"])
    op.create_index("ix_deliveries_webhook", "deliveries", ["webhook_id"])
