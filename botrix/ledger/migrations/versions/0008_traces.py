"""Which trace a job belongs to. A job of an earlier release has none, and no trace."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("traceparent", sa.Text()))
