"""What happened to each job and account; which are looked for again; accounts that are claimed alone."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
_SUSPECT = "crashes >= 2 AND status IN ('planned', 'unsure')"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("look_at", sa.Double()))
    op.add_column("jobs", sa.Column("looked_at", sa.Double()))
    op.add_column("accounts", sa.Column("last_session", sa.Text()))
    op.add_column(
        "accounts", sa.Column("in_doubt", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_index(
        "ix_jobs_look", "jobs", ["look_at"],
        sqlite_where=sa.text("look_at IS NOT NULL"), postgresql_where=sa.text("look_at IS NOT NULL"),
    )
    op.create_index(
        "ix_accounts_suspect", "accounts", ["not_before"],
        sqlite_where=sa.text(_SUSPECT), postgresql_where=sa.text(_SUSPECT),
    )
    op.create_table(
        "history",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True),
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("idx", sa.Integer()),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer()),
        sa.Column("session_id", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("n", name="pk_history"),
    )
    op.create_index("ix_history_job", "history", ["job_id", "n"])
