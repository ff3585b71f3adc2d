"""Lets a ledger itself write down each change of an account, a job or a session, whoever makes it.

Triggers, because a program that misbehaves cannot forget them, and because one runs in the very
transaction that changes the row: what `session_status` says is what the session was at that moment,
and the rows of one account have the order in which its changes were made. On PostgreSQL a statement
can wait for a lock while its session is declared lost, which harms nobody; so `since` keeps when it
began (NULL on SQLite, where writes do not overlap). Half imported rosters may be deleted, and
nothing else: other deletes are kept as a change to no status at all.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import asyncpg

_TABLES = ("jobs", "accounts", "sessions")
_COLUMNS = {
    "at": "{double} NOT NULL",
    "since": "{double}",
    "kind": "TEXT NOT NULL",
    "job_id": "TEXT",
    "idx": "INTEGER",
    "old_status": "TEXT",
    "new_status": "TEXT",
    "session": "TEXT",
    "session_status": "TEXT",
    "attempt": "INTEGER",
    "tries": "INTEGER",
    "crashes": "INTEGER",
    "username": "TEXT",
}


@dataclass(frozen=True)
class _Dialect:
    double: str
    numbered: str
    now: str
    since: str
    differs: str


_SQLITE = _Dialect(
    double="REAL",
    numbered="INTEGER PRIMARY KEY AUTOINCREMENT",
    now="(julianday('now') - 2440587.5) * 86400.0",
    since="NULL",
    differs="IS NOT",
)
_POSTGRES = _Dialect(
    double="DOUBLE PRECISION",
    numbered="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    now="extract(epoch FROM clock_timestamp())::float8",
    since="extract(epoch FROM statement_timestamp())::float8",
    differs="IS DISTINCT FROM",
)


@dataclass(frozen=True)
class _Trigger:
    """watched: columns of which one must change. given: what of `changes` is said. only: what else
    must hold, for PostgreSQL takes no subselect in WHEN."""

    table: str
    event: str
    given: dict[str, str]
    watched: tuple[str, ...] = ()
    only: str = "true"

    @property
    def name(self) -> str:
        return f"changes_{self.table}_{self.event}".lower()

    def body(self, dialect: _Dialect) -> str:
        given = {"at": dialect.now, "since": dialect.since, **self.given}
        columns, values = ", ".join(given), ", ".join(given.values())
        return f"INSERT INTO changes ({columns}) SELECT {values} WHERE {self.only};"

    def when(self, dialect: _Dialect) -> str:
        changed = " OR ".join(f"OLD.{c} {dialect.differs} NEW.{c}" for c in self.watched)
        return f"WHEN ({changed})" if changed else ""


_LIVES = {"INSERT": ("NULL", "NEW"), "UPDATE": ("OLD.status", "NEW"), "DELETE": ("OLD.status", "")}


def _statuses(event: str) -> dict[str, str]:
    old, new = _LIVES[event]
    return {"old_status": old, "new_status": f"{new}.status" if new else "NULL"}


def _of_account(event: str) -> dict[str, str]:
    row = "OLD" if event == "DELETE" else "NEW"
    sessions = {
        "INSERT": "NEW.session_id",
        "UPDATE": "coalesce(NEW.session_id, OLD.session_id)",
        "DELETE": "OLD.session_id",
    }
    status = f"(SELECT s.status FROM sessions s WHERE s.id = {sessions[event]})"
    copied = ("job_id", "idx", "attempt", "tries", "crashes", "username")
    return {
        "kind": "'account'",
        "session": sessions[event],
        "session_status": status,
        **_statuses(event),
        **{name: f"{row}.{name}" for name in copied},
    }


def _of_job(event: str) -> dict[str, str]:
    row = "OLD" if event == "DELETE" else "NEW"
    return {"kind": "'job'", "job_id": f"{row}.id", **_statuses(event)}


def _of_session(event: str) -> dict[str, str]:
    named = {"session": "NEW.id", "session_status": "NEW.status"}
    return {"kind": "'session'", **named, **_statuses(event)}


_FENCE = ("status", "session_id", "attempt", "tries", "crashes", "username")
_COUNTERS = ("count", "created", "existing", "failed", "cancelled", "deleted", "retried")
_WHOLE = "EXISTS (SELECT 1 FROM jobs j WHERE j.id = OLD.job_id AND NOT j.importing)"
_TRIGGERS = (
    _Trigger("accounts", "INSERT", _of_account("INSERT")),
    _Trigger("accounts", "UPDATE", _of_account("UPDATE"), watched=_FENCE),
    _Trigger("accounts", "DELETE", _of_account("DELETE"), only=_WHOLE),
    _Trigger("jobs", "INSERT", _of_job("INSERT")),
    _Trigger("jobs", "UPDATE", _of_job("UPDATE"), watched=("status", *_COUNTERS)),
    _Trigger("jobs", "DELETE", _of_job("DELETE"), only="NOT OLD.importing"),
    _Trigger("sessions", "INSERT", _of_session("INSERT")),
    _Trigger("sessions", "UPDATE", _of_session("UPDATE"), watched=("status",)),
)


def _table(dialect: _Dialect) -> str:
    types = (f"{name} {kind.format(double=dialect.double)}" for name, kind in _COLUMNS.items())
    return f"CREATE TABLE IF NOT EXISTS changes (n {dialect.numbered}, {', '.join(types)})"


def _on_sqlite(trigger: _Trigger) -> list[str]:
    return [
        f"CREATE TRIGGER IF NOT EXISTS {trigger.name} AFTER {trigger.event} ON {trigger.table}"
        f" FOR EACH ROW {trigger.when(_SQLITE)} BEGIN {trigger.body(_SQLITE)} END"
    ]


def _on_postgres(trigger: _Trigger) -> list[str]:
    return [
        f"CREATE OR REPLACE FUNCTION {trigger.name}() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {trigger.body(_POSTGRES)} RETURN NULL; END $$",
        f"CREATE OR REPLACE TRIGGER {trigger.name} AFTER {trigger.event} ON {trigger.table}"
        f" FOR EACH ROW {trigger.when(_POSTGRES)} EXECUTE FUNCTION {trigger.name}()",
    ]


async def install(url: str) -> None:
    """Before the first job. Harmless where it was done before."""
    if url.startswith("sqlite:///"):
        with closing(_open(url)) as db:
            db.execute("BEGIN IMMEDIATE")
            for sql in [_table(_SQLITE), *(s for t in _TRIGGERS for s in _on_sqlite(t))]:
                db.execute(sql)
            db.execute("COMMIT")
        return
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            for sql in [_table(_POSTGRES), *(s for t in _TRIGGERS for s in _on_postgres(t))]:
                await connection.execute(sql)
    finally:
        await connection.close()


async def read(url: str) -> dict[str, list[dict[str, Any]]]:
    """jobs, accounts, sessions and changes of one moment, with whatever columns they have; never
    a sealed password or other bytes. Named as the parts of the evidence are."""
    if url.startswith("sqlite:///"):
        with closing(_open(url)) as db:
            db.execute("BEGIN")
            return {table: _sqlite_rows(db, table) for table in (*_TABLES, "changes")}
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return {t: await _postgres_rows(connection, t) for t in (*_TABLES, "changes")}
    finally:
        await connection.close()


def _open(url: str) -> sqlite3.Connection:
    return sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30, isolation_level=None)


def _sqlite_rows(db: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    info = db.execute("SELECT name, type FROM pragma_table_info(?)", (table,)).fetchall()
    names = [name for name, kind in info if kind.upper() != "BLOB" and name != "sealed"]
    return [dict(zip(names, row, strict=True)) for row in db.execute(_select(table, names))]


async def _postgres_rows(connection: Any, table: str) -> list[dict[str, Any]]:
    info = await connection.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema()"
        " AND table_name = $1 AND data_type <> 'bytea' AND column_name <> 'sealed'"
        " ORDER BY ordinal_position",
        table,
    )
    names = [row["column_name"] for row in info]
    return [dict(row) for row in await connection.fetch(_select(table, names))]


def _select(table: str, names: list[str]) -> str:
    first = {"changes": "n", "accounts": "job_id, idx"}.get(table, "id")
    columns = ", ".join(f'"{name}"' for name in names)
    return f"SELECT {columns} FROM {table} ORDER BY {first}"
