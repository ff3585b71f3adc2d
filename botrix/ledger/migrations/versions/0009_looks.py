"""How far a look at a plan's accounts has come without leases. An earlier release, which leases
each, neither reads nor writes it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("walked", sa.Integer(), server_default="0", nullable=False))
