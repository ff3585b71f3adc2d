"""Events of jobs for webhooks: triggers write them, in the transaction that moved the job. What a
webhook's failures come to; indexes for who sends, and who deletes what was sent."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_MOVED = (
    "NOT NEW.importing AND (OLD.importing OR NEW.status <> OLD.status"
    " OR (NEW.waits IS NOT NULL AND coalesce(OLD.waits, '') <> NEW.waits))"
)
_ENTERED = "'job.accepted'"
_ACCEPTED = "CASE WHEN OLD.importing THEN 'job.accepted' END"
_STATUS = (
    "CASE WHEN NEW.status = OLD.status OR NEW.status IN ('pending', 'cancelling') THEN NULL"
    " WHEN NEW.status <> 'running' THEN 'job.' || NEW.status"
    " WHEN OLD.status = 'pending' THEN 'job.started' ELSE 'job.retried' END"
)
_WAITS = (
    "CASE WHEN NEW.status IN ('pending', 'running') AND NEW.waits IS NOT NULL"
    " AND (OLD.importing OR coalesce(OLD.waits, '') <> NEW.waits) THEN 'job.waiting' END"
)
_WAITS_AT_ONCE = "CASE WHEN NEW.waits IS NOT NULL THEN 'job.waiting' END"
_DATA = (
    "'status', NEW.status, 'stage', NEW.stage, 'waits', NEW.waits, 'directory', NEW.directory,"
    " 'undoes', NEW.undoes, 'count', NEW.count, 'created', NEW.created, 'existing', NEW.existing,"
    " 'failed', NEW.failed, 'cancelled', NEW.cancelled, 'deleted', NEW.deleted,"
    " 'bad_rows', NEW.bad_rows"
)
_INTO = "INSERT INTO deliveries (tenant_id, webhook_id, job_id, event, body, at)"
_WANTED = (
    "w.disabled_at IS NULL AND e.event IS NOT NULL"
    " AND (w.events IS NULL OR w.events LIKE '%\"' || e.event || '\"%')"
)


def upgrade() -> None:
    for name in ("failing_since", "quiet_until"):
        op.add_column("webhooks", sa.Column(name, sa.Double()))
    _indexes()
    if op.get_bind().dialect.name == "postgresql":
        _on_postgresql()
    else:
        _on_sqlite()


def _indexes() -> None:
    waiting, over = sa.text("status = 'waiting'"), sa.text("status <> 'waiting'")
    op.drop_index("ix_deliveries_webhook", "deliveries")
    op.create_index("ix_deliveries_webhook", "deliveries", ["webhook_id", "status", "n"])
    op.create_index(
        "ix_deliveries_next", "deliveries", ["webhook_id", "next_at", "n"],
        sqlite_where=waiting, postgresql_where=waiting,
    )
    op.create_index(
        "ix_deliveries_over", "deliveries", ["status", "at"],
        sqlite_where=over, postgresql_where=over,
    )


def _on_sqlite() -> None:
    """A trigger for each row, whose statement is not begun where there is no webhook at all."""

    def write(*events: str) -> str:
        rows = ", ".join(f"({n}, {event})" for n, event in enumerate(events))
        return (
            f"{_INTO} SELECT NEW.tenant_id, w.id, NEW.id, e.event, json_object({_DATA}),"
            " (julianday('now') - 2440587.5) * 86400.0"
            f" FROM webhooks w, (SELECT column1 AS n, column2 AS event FROM (VALUES {rows})) e"
            f" WHERE w.tenant_id = NEW.tenant_id AND {_WANTED} ORDER BY e.n"
        )

    any_webhook = "EXISTS (SELECT 1 FROM webhooks)"
    op.execute(
        "CREATE TRIGGER jobs_entered AFTER INSERT ON jobs WHEN NOT NEW.importing"
        f" AND {any_webhook} BEGIN {write(_ENTERED, _WAITS_AT_ONCE)}; END"
    )
    op.execute(
        f"CREATE TRIGGER jobs_moved AFTER UPDATE OF status, waits, importing ON jobs WHEN {_MOVED}"
        f" AND {any_webhook} BEGIN {write(_ACCEPTED, _STATUS, _WAITS)}; END"
    )


def _on_postgresql() -> None:
    """A trigger for each statement: one for each row would cost jobs that have no webhook a fifth
    more. A webhook that is just being deleted is passed over, for a job that had to wait for that,
    or wrote for one that is gone, would fail with it. Workers allow no hash joins (postgres.py)."""

    def function(verb: str, tables: str, where: str, *events: str) -> None:
        rows = ", ".join(f"({n}, {event})" for n, event in enumerate(events))
        write = (
            f"{_INTO} SELECT NEW.tenant_id, w.id, NEW.id, e.event,"
            f" json_build_object({_DATA})::text, extract(epoch FROM clock_timestamp())::float8"
            f" FROM {tables}, LATERAL (VALUES {rows}) e (n, event), webhooks w WHERE {where}"
            f" AND w.tenant_id = NEW.tenant_id AND {_WANTED} ORDER BY NEW.id, e.n"
            " FOR KEY SHARE OF w SKIP LOCKED"
        )
        write = write.replace("NEW.", "n.").replace("OLD.", "o.")
        op.execute(
            f"CREATE FUNCTION jobs_{verb}() RETURNS trigger LANGUAGE plpgsql"
            " SET enable_hashjoin = on AS $$ BEGIN"
            f" IF EXISTS (SELECT 1 FROM webhooks) THEN {write}; END IF; RETURN NULL; END $$"
        )

    function("entered", "n", "NOT NEW.importing", _ENTERED, _WAITS_AT_ONCE)
    function("moved", "n JOIN o ON o.id = n.id", _MOVED, _ACCEPTED, _STATUS, _WAITS)
    op.execute(
        "CREATE TRIGGER jobs_entered AFTER INSERT ON jobs REFERENCING NEW TABLE AS n"
        " FOR EACH STATEMENT EXECUTE FUNCTION jobs_entered()"
    )
    op.execute(
        "CREATE TRIGGER jobs_moved AFTER UPDATE ON jobs REFERENCING OLD TABLE AS o NEW TABLE AS n"
        " FOR EACH STATEMENT EXECUTE FUNCTION jobs_moved()"
    )
