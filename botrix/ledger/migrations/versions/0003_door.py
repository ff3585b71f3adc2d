"""Who may do what: tenants, keys, sign-ins, the audit record; when passwords were exported and erased."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
_OPEN = "status IN ('pending', 'running', 'cancelling')"
_WAITING = "place IS NOT NULL"
_KEPT = "erased_at IS NULL AND finished_at IS NOT NULL"
_ROLES = "role IN ('reader', 'submitter', 'revealer', 'operator', 'admin')"


def upgrade() -> None:
    _tenants()
    _keys()
    _sign_ins()
    _audit()
    _jobs_and_accounts()
    for name in ("secrets", "policy"):
        op.add_column("directories", sa.Column(name, sa.Text(), server_default="{}", nullable=False))
    _enter_tenants()


def _tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("open_jobs", sa.Integer()),
        sa.Column("accounts_per_job", sa.Integer()),
        sa.Column("accounts_per_day", sa.Integer()),
        sa.Column("requests_per_minute", sa.Integer()),
        sa.Column("password_days", sa.Integer()),
        sa.Column("retention_days", sa.Integer()),
        sa.Column("day", sa.Integer(), server_default="0", nullable=False),
        sa.Column("accounts_today", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("audit_n", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("audit_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
    )


def _keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double()),
        sa.Column("last_used_at", sa.Double()),
        sa.Column("revoked_at", sa.Double()),
        sa.CheckConstraint(_ROLES, name="ck_role"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
    )
    op.create_index("ix_keys_tenant", "keys", ["tenant_id"])


def _sign_ins() -> None:
    op.create_table(
        "sign_ins",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest", name="pk_sign_ins"),
    )
    op.create_index("ix_sign_ins_age", "sign_ins", ["expires_at"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "n", name="pk_audit"),
    )
    _append_only()


def _jobs_and_accounts() -> None:
    op.add_column("jobs", sa.Column("exported_at", sa.Double()))
    op.add_column("jobs", sa.Column("erased_at", sa.Double()))
    _partial("ix_jobs_open", ["tenant_id"], _OPEN)
    _partial("ix_jobs_waiting", ["tenant_id", "lane", "place"], _WAITING)
    _partial("ix_jobs_kept", ["finished_at"], _KEPT)
    op.add_column("accounts", sa.Column("resetting_at", sa.Double()))


def _enter_tenants() -> None:
    op.execute(
        sa.text(
            "INSERT INTO tenants (id, created_at) SELECT t.id, :now FROM"
            " (SELECT 'default' AS id UNION SELECT tenant_id FROM jobs"
            " UNION SELECT tenant_id FROM directories) t"
        ).bindparams(now=time.time())
    )


def _partial(name: str, columns: list[str], where: str) -> None:
    clause = sa.text(where)
    op.create_index(name, "jobs", columns, sqlite_where=clause, postgresql_where=clause)


def _append_only() -> None:
    refusal = "the audit record is append-only"
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION '{refusal}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
        )
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit"
            f" BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
        )
