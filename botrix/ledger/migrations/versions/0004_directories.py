"""How much, and whether, a directory is used; jobs that are held since their directory is paused;
groups and attributes of those whom accounts are for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    _throttles()
    _throttle_users()
    op.add_column(
        "jobs", sa.Column("held", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_index(
        "ix_jobs_held", "jobs", ["tenant_id", "directory", "created_at"],
        sqlite_where=sa.text("held"), postgresql_where=sa.text("held"),
    )
    _groups_and_attributes()


def _throttles() -> None:
    op.create_table(
        "throttles",
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="working", nullable=False),
        sa.Column("probe_at", sa.Double(), server_default="0", nullable=False),
        sa.Column("holding", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("state", sa.Text(), server_default="{}", nullable=False),
        sa.CheckConstraint(
            "status IN ('working', 'paused', 'trying', 'given up')", name="ck_directorystatus"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "name", name="pk_throttles"),
    )


def _throttle_users() -> None:
    op.create_table(
        "throttle_users",
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("demand", sa.Integer(), nullable=False),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "session_id", name="pk_throttle_users"),
    )


def _groups_and_attributes() -> None:
    """JSON, and NULL where there are none."""
    op.add_column("accounts", sa.Column("extra", sa.Text()))
    op.add_column("jobs", sa.Column("groups", sa.Text()))
