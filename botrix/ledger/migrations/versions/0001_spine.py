"""The spine: jobs, accounts, sessions, directories, idempotency keys, bad rows."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _counters()
    _directories()
    _idempotency_keys()
    _jobs()
    _sessions()
    _accounts()
    _bad_rows()
    if op.get_bind().dialect.name == 'postgresql':
        op.execute("CREATE SEQUENCE place_sequence")
    op.execute("INSERT INTO counters (name, value) VALUES ('place', 0)")
    op.execute(
        sa.text("INSERT INTO directories (name, kind, created_at) VALUES ('local', 'local', :now)")
        .bindparams(now=time.time())
    )


def _counters() -> None:
    op.create_table('counters',
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('value', sa.BigInteger(), nullable=False),
    sa.Column('tenant_id', sa.Text(), server_default='default', nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_counters'))
    )


def _directories() -> None:
    op.create_table('directories',
    sa.Column('tenant_id', sa.Text(), server_default='default', nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('config', sa.Text(), server_default='{}', nullable=False),
    sa.Column('paused', sa.Boolean(), server_default=sa.false(), nullable=False),
    sa.Column('pause_reason', sa.Text(), nullable=True),
    sa.Column('created_at', sa.Double(), nullable=False),
    sa.PrimaryKeyConstraint('tenant_id', 'name', name=op.f('pk_directories'))
    )


def _idempotency_keys() -> None:
    op.create_table('idempotency_keys',
    sa.Column('tenant_id', sa.Text(), server_default='default', nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('fingerprint', sa.Text(), nullable=False),
    sa.Column('job_id', sa.Text(), nullable=False),
    sa.Column('created_at', sa.Double(), nullable=False),
    sa.PrimaryKeyConstraint('tenant_id', 'key', name=op.f('pk_idempotency_keys'))
    )
    op.create_index('ix_idempotency_age', 'idempotency_keys', ['created_at'], unique=False)


def _jobs() -> None:
    op.create_table('jobs',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('tenant_id', sa.Text(), server_default='default', nullable=False),
    sa.Column('status', sa.Text(), server_default='pending', nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('lane', sa.Text(), server_default='normal', nullable=False),
    sa.Column('directory', sa.Text(), nullable=False),
    sa.Column('template', sa.Text(), nullable=True),
    sa.Column('tries', sa.Integer(), server_default='4', nullable=False),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.Column('next_index', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created', sa.Integer(), server_default='0', nullable=False),
    sa.Column('existing', sa.Integer(), server_default='0', nullable=False),
    sa.Column('failed', sa.Integer(), server_default='0', nullable=False),
    sa.Column('cancelled', sa.Integer(), server_default='0', nullable=False),
    sa.Column('deleted', sa.Integer(), server_default='0', nullable=False),
    sa.Column('retried', sa.Integer(), server_default='0', nullable=False),
    sa.Column('place', sa.BigInteger(), nullable=True),
    sa.Column('due_at', sa.Double(), nullable=True),
    sa.Column('not_before', sa.Double(), nullable=True),
    sa.Column('paused', sa.Boolean(), server_default=sa.false(), nullable=False),
    sa.Column('importing', sa.Boolean(), server_default=sa.false(), nullable=False),
    sa.Column('bad_rows', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created_at', sa.Double(), nullable=False),
    sa.Column('updated_at', sa.Double(), nullable=False),
    sa.Column('finished_at', sa.Double(), nullable=True),
    sa.CheckConstraint("lane IN ('high', 'normal', 'low')", name='ck_lane'),
    sa.CheckConstraint("place IS NULL OR (status IN ('pending', 'running', 'cancelling') AND NOT importing)", name='ck_place'),
    sa.CheckConstraint("source IN ('generate', 'import', 'raw')", name='ck_source'),
    sa.CheckConstraint("status <> 'completed' OR failed = 0", name='ck_completed'),
    sa.CheckConstraint("status IN ('pending', 'running', 'cancelling', 'completed', 'failed', 'cancelled')", name='ck_jobstatus'),
    sa.CheckConstraint("status NOT IN ('completed', 'failed', 'cancelled') OR created + existing + failed + cancelled + deleted = count", name='ck_final_adds_up'),
    sa.CheckConstraint('count >= 0 AND next_index BETWEEN 0 AND count', name='ck_cursor'),
    sa.CheckConstraint('created >= 0 AND existing >= 0 AND failed >= 0 AND cancelled >= 0 AND deleted >= 0 AND created + existing + failed + cancelled + deleted <= count', name='ck_totals'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_jobs'))
    )
    op.create_index('ix_jobs_due', 'jobs', ['due_at'], unique=False, sqlite_where=sa.text('due_at IS NOT NULL'), postgresql_where=sa.text('due_at IS NOT NULL'))
    op.create_index('ix_jobs_line', 'jobs', ['lane', 'place'], unique=False, sqlite_where=sa.text('place IS NOT NULL'), postgresql_where=sa.text('place IS NOT NULL'))
    op.create_index('ix_jobs_tenant', 'jobs', ['tenant_id', 'created_at', 'id'], unique=False)


def _sessions() -> None:
    op.create_table('sessions',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('tenant_id', sa.Text(), server_default='default', nullable=False),
    sa.Column('worker_id', sa.Text(), nullable=False),
    sa.Column('host', sa.Text(), nullable=False),
    sa.Column('pid', sa.Integer(), nullable=False),
    sa.Column('version', sa.Text(), nullable=False),
    sa.Column('status', sa.Text(), server_default='live', nullable=False),
    sa.Column('beat', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('started_at', sa.Double(), nullable=False),
    sa.Column('ended_at', sa.Double(), nullable=True),
    sa.CheckConstraint("(status = 'live') = (ended_at IS NULL)", name='ck_ended'),
    sa.CheckConstraint("status IN ('live', 'lost', 'ended')", name='ck_sessionstatus'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sessions'))
    )
    op.create_index('ix_sessions_status', 'sessions', ['status', 'ended_at'], unique=False)


def _accounts() -> None:
    op.create_table('accounts',
    sa.Column('job_id', sa.Text(), nullable=False),
    sa.Column('idx', sa.Integer(), nullable=False),
    sa.Column('tenant_id', sa.Text(), server_default='default', nullable=False),
    sa.Column('status', sa.Text(), server_default='planned', nullable=False),
    sa.Column('username', sa.Text(), nullable=False),
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('given_name', sa.Text(), nullable=False),
    sa.Column('family_name', sa.Text(), nullable=False),
    sa.Column('display_name', sa.Text(), nullable=False),
    sa.Column('sealed', sa.LargeBinary(), nullable=True),
    sa.Column('row', sa.Integer(), nullable=True),
    sa.Column('session_id', sa.Text(), nullable=True),
    sa.Column('attempt', sa.Integer(), server_default='0', nullable=False),
    sa.Column('tries', sa.Integer(), server_default='0', nullable=False),
    sa.Column('crashes', sa.Integer(), server_default='0', nullable=False),
    sa.Column('not_before', sa.Double(), server_default='0', nullable=False),
    sa.Column('entry_id', sa.Text(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('detail', sa.Text(), nullable=True),
    sa.Column('revealed_at', sa.Double(), nullable=True),
    sa.Column('updated_at', sa.Double(), nullable=False),
    sa.CheckConstraint("(status = 'leased') = (session_id IS NOT NULL)", name='ck_lease'),
    sa.CheckConstraint("status <> 'failed' OR reason IS NOT NULL", name='ck_reason'),
    sa.CheckConstraint("status IN ('planned', 'leased', 'unsure', 'created', 'existing', 'failed', 'cancelled', 'deleted')", name='ck_accountstatus'),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('job_id', 'idx', name=op.f('pk_accounts')),
    sqlite_with_rowid=False
    )
    op.create_index('ix_accounts_open', 'accounts', ['job_id', 'not_before', 'idx'], unique=False, sqlite_where=sa.text("status IN ('planned', 'unsure')"), postgresql_where=sa.text("status IN ('planned', 'unsure')"))
    op.create_index('ix_accounts_session', 'accounts', ['session_id'], unique=False, sqlite_where=sa.text('session_id IS NOT NULL'), postgresql_where=sa.text('session_id IS NOT NULL'))
    op.create_index(
        'uq_accounts_roster_name', 'accounts', ['job_id', sa.text('lower(username)')], unique=True,
        sqlite_where=sa.text('"row" IS NOT NULL'), postgresql_where=sa.text('"row" IS NOT NULL'),
    )


def _bad_rows() -> None:
    op.create_table('bad_rows',
    sa.Column('job_id', sa.Text(), nullable=False),
    sa.Column('row', sa.Integer(), nullable=False),
    sa.Column('tenant_id', sa.Text(), server_default='default', nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('job_id', 'row', name=op.f('pk_bad_rows'))
    )
