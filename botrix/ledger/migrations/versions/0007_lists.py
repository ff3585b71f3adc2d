"""Indexes of the lists, and the tallies that statistics are read from.

The triggers see every change of a job, whoever makes it. On SQLite a writer is alone, so they move
the row of the tenant. On PostgreSQL all workers would wait for each other there; so each statement
appends what it changed, and the workers sum that up (see postgres_tallies.py)."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_RESTING, _WHOLE = "session_id IS NULL", "NOT importing"
_NAME = {"sqlite": "lower(username)", "postgresql": 'lower(username) COLLATE "C"'}
_WITHOUT = ("sqlite", "ix_accounts_name")  # it writes it once in any case, and sooner is cheaper
INDEXES = (
    ("ix_jobs_kind", "jobs", "tenant_id, directory, stage, status, created_at, id", _WHOLE),
    ("ix_jobs_waits", "jobs", "tenant_id, waits, created_at, id", "waits IS NOT NULL"),
    ("ix_accounts_state", "accounts", "tenant_id, status, job_id, idx", _RESTING),
    ("ix_accounts_name", "accounts", "tenant_id, ({name}), job_id, idx", _RESTING),
    (
        "ix_accounts_prospect", "accounts", "job_id, prospect, idx",
        "prospect IN ('adopt', 'conflict')",
    ),
    ("ix_accounts_reason", "accounts", "job_id, reason, idx, status", "status = 'failed'"),
    ("ix_history_account", "history", "job_id, idx, n", ""),
)


def statements(dialect: str, how: str = "") -> dict[str, str]:
    """By the name of the index. how: put after CREATE INDEX."""
    return {
        name: f"CREATE INDEX {how} {name} ON {table} ({columns.format(name=_NAME[dialect])})"
        + (f" WHERE {where}" if where and (dialect, name) != _WITHOUT else "")
        for name, table, columns, where in INDEXES
    }


ahead = statements("postgresql", "CONCURRENTLY")
"""What is built on a ledger in use before the transaction of this migration; see migrate.py."""

_STATUSES = ("pending", "running", "cancelling", "completed", "failed", "cancelled")
_SUMS = ("count", "created", "existing", "failed", "cancelled", "deleted", "retried")
_COLUMNS = [*(f"jobs_{name}" for name in _STATUSES), *(f"accounts_{name}" for name in _SUMS)]
_LISTED = ", ".join(_COLUMNS)


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for sql in statements(dialect, "IF NOT EXISTS" if dialect == "postgresql" else "").values():
        op.execute(sql)
    op.create_table(
        "tallies",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
            for name in _COLUMNS
        ),
        sa.PrimaryKeyConstraint("tenant_id", "n", name="pk_tallies"),
        sqlite_with_rowid=False,
    )
    if dialect == "postgresql":
        _on_postgresql()
    else:
        _on_sqlite()
    totals = ", ".join(f"sum({value})" for value in _values("jobs"))
    op.execute(
        f"INSERT INTO tallies (tenant_id, n, {_LISTED}) SELECT tenant_id, 0, {totals} FROM jobs"
        f" WHERE {_WHOLE} GROUP BY tenant_id"
    )


def _values(row: str) -> list[str]:
    """What a job adds to the columns, in their order."""
    counted = [f"CASE WHEN {row}.status = '{name}' THEN 1 ELSE 0 END" for name in _STATUSES]
    return [*counted, *(f'{row}."{name}"' for name in _SUMS)]


def _on_sqlite() -> None:
    """A claim changes the state and no sums, and that once a job; so these have a trigger each."""
    pairs = list(zip(_COLUMNS, _values("NEW"), _values("OLD"), strict=True))
    entered = ", ".join(f"({new}) * (NOT NEW.importing)" for _, new, _ in pairs)
    more = ", ".join(f"{name} = {name} + excluded.{name}" for name in _COLUMNS)
    op.execute(
        "CREATE TRIGGER jobs_tallied_in AFTER INSERT ON jobs BEGIN INSERT INTO tallies"
        f" (tenant_id, n, {_LISTED}) VALUES (NEW.tenant_id, 0, {entered})"
        f" ON CONFLICT (tenant_id, n) DO UPDATE SET {more}; END"
    )
    other = "WHEN OLD.{0} <> NEW.{0} OR OLD.importing <> NEW.importing"
    states, sums = pairs[: len(_STATUSES)], pairs[len(_STATUSES) :]
    watched = ", ".join(("importing", *(f'"{name}"' for name in _SUMS)))
    _tally("jobs_tallied_on", "UPDATE OF status, importing", other.format("status"), states)
    _tally("jobs_summed_on", f"UPDATE OF {watched}", "", sums)
    less = [(name, "0", old) for name, _, old in pairs]
    _tally("jobs_tallied_out", "DELETE", "", less, "0")


def _tally(
    name: str, what: str, when: str, pairs: list[tuple[str, str, str]],
    counts: str = "NOT NEW.importing",
) -> None:  # fmt: skip
    moved = ", ".join(
        f"{column} = {column} + ({new}) * ({counts}) - ({old}) * (NOT OLD.importing)"
        for column, new, old in pairs
    )
    op.execute(
        f"CREATE TRIGGER {name} AFTER {what} ON jobs {when} BEGIN"
        f" UPDATE tallies SET {moved} WHERE tenant_id = OLD.tenant_id AND n = 0; END"
    )


def _on_postgresql() -> None:
    op.execute("CREATE SEQUENCE tally_sequence")
    new = f"SELECT tenant_id, {_named('newer', '')} FROM newer WHERE {_WHOLE}"
    old = f"SELECT tenant_id, {_named('older', '-')} FROM older WHERE {_WHOLE}"
    for when, source, tables in (
        ("INSERT", new, "NEW TABLE AS newer"),
        ("UPDATE", f"{new} UNION ALL {old}", "OLD TABLE AS older NEW TABLE AS newer"),
        ("DELETE", old, "OLD TABLE AS older"),
    ):
        name = f"jobs_tallied_at_{when.lower()}"
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {_append(source)}; RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {name} AFTER {when} ON jobs REFERENCING {tables}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        )


def _named(table: str, sign: str) -> str:
    values = zip(_COLUMNS, _values(table), strict=True)
    return ", ".join(f"{sign}({value})::bigint AS {name}" for name, value in values)


def _append(source: str) -> str:
    """One row a tenant, and none where nothing changed that is counted."""
    sums = ", ".join(f"sum({name}) AS {name}" for name in _COLUMNS)
    changed = " OR ".join(f"{name} <> 0" for name in _COLUMNS)
    return (
        f"INSERT INTO tallies (tenant_id, n, {_LISTED})"
        f" SELECT tenant_id, nextval('tally_sequence'), {_LISTED}"
        f" FROM (SELECT tenant_id, {sums} FROM ({source}) one GROUP BY tenant_id) moved"
        f" WHERE {changed}"
    )
