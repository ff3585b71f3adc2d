"""The real ledgers for the state machine, with a clock that the machine moves, and their rows.

On SQLite the ledger takes a clock, and the cold queries get a `julianday` of their own. On
PostgreSQL a function in a schema that comes first in the search path hides the server's
`clock_timestamp`. A database is emptied between examples, since to make one costs a hundred times
as much. The rows are read by statements of our own on a connection of our own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import sqlalchemy as sa

from botrix.ledger.engine import create_engine
from botrix.ledger.ledger import Ledger
from botrix.ledger.postgres import PostgresLedger
from botrix.ledger.queries import Queries
from botrix.ledger.sqlite import SqliteLedger

START = 4_000_000_000.0
"""Far off, so that a time by the real clock shows at once; and whole, so that none is rounded."""
DIRECTORIES = ("local", "other")
_JOBS = (
    "SELECT id, status, lane, count, created, existing, failed, cancelled, deleted, retried,"
    " next_index, place, due_at, finished_at, look_at, looked_at FROM jobs"
)
_ACCOUNTS = (
    "SELECT job_id, idx, status, username, email, sealed, session_id, attempt, tries, crashes,"
    " in_doubt, not_before, reason FROM accounts"
)
_SESSIONS = "SELECT id, status, beat, ended_at FROM sessions"
TENANTS = ("default", "b")
_OTHERS = (
    "INSERT INTO directories (tenant_id, name, kind, created_at)"
    " VALUES ('default', 'other', 'local', 0)",
    "INSERT INTO tenants (id, created_at) VALUES ('b', 0)",
)
_EMPTIED = ("jobs", "sessions", "idempotency_keys")  # accounts and history go with their jobs
_CLOCK = """
CREATE SCHEMA testclock;
CREATE TABLE testclock.now (at double precision NOT NULL);
INSERT INTO testclock.now VALUES (0);
CREATE FUNCTION testclock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
  AS 'SELECT pg_catalog.to_timestamp(at) FROM testclock.now';
"""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """All that there is: jobs and sessions by id, accounts by job and index."""

    jobs: dict[str, Row]
    accounts: dict[tuple[str, int], Row]
    sessions: dict[str, Row]


class Store(Protocol):
    """One database, from example to example."""

    ledger: Ledger
    queries: Queries

    async def reset(self) -> None: ...

    async def set_clock(self, now: float) -> None: ...

    async def rows(self) -> Rows: ...


class SqliteStore:
    """`path`: of a migrated ledger."""

    def __init__(self, path: Path) -> None:
        self._now = START
        self.ledger: Ledger = SqliteLedger(path, clock=self._clock)
        engine = create_engine(f"sqlite:///{path}")
        sa.event.listen(engine.sync_engine, "connect", self._hide_the_clock)
        self.queries = Queries(engine)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA foreign_keys = ON")
        for statement in _OTHERS:
            self._db.execute(statement)

    async def reset(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        for table in _EMPTIED:
            self._db.execute(f"DELETE FROM {table}")
        self._db.execute("UPDATE counters SET value = 0")
        self._db.execute("COMMIT")
        self._now = START

    async def set_clock(self, now: float) -> None:
        self._now = now

    async def rows(self) -> Rows:
        read = [[dict(row) for row in self._db.execute(sql)] for sql in _ALL]
        return _rows(*read)

    async def close(self) -> None:
        await self.ledger.close()
        await self.queries.close()
        self._db.close()

    def _clock(self) -> float:
        return self._now

    def _hide_the_clock(self, connection: Any, _record: Any) -> None:
        connection.create_function("julianday", 1, lambda _: self._now / 86400.0 + 2440587.5)


class PostgresStore:
    """`url`: of a migrated database; it opens later, since a connection belongs to a loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.ledger: Ledger = PostgresLedger(url)
        self.queries = Queries(create_engine(url))

    async def open(self) -> None:
        name = self._url.rpartition("/")[2]
        path = "testclock, pg_catalog, public"
        first = await asyncpg.connect(self._url)
        await first.execute(";".join(_OTHERS))
        await first.execute(_CLOCK)
        await first.execute(f"ALTER DATABASE {name} SET search_path = {path}")
        await first.close()
        self._db = await asyncpg.connect(self._url)  # under the new search path

    async def reset(self) -> None:
        await self._db.execute(";".join(f"DELETE FROM {table}" for table in _EMPTIED))
        await self._db.execute("ALTER SEQUENCE place_sequence RESTART")
        await self.set_clock(START)

    async def set_clock(self, now: float) -> None:
        await self._db.execute("UPDATE testclock.now SET at = $1", now)

    async def rows(self) -> Rows:
        return _rows(*[await self._db.fetch(sql) for sql in _ALL])

    async def close(self) -> None:
        await self.ledger.close()
        await self.queries.close()
        await self._db.close()


_ALL = (_JOBS, _ACCOUNTS, _SESSIONS)


def _rows(jobs: list[Row], accounts: list[Row], sessions: list[Row]) -> Rows:
    return Rows(
        {row["id"]: row for row in jobs},
        {(row["job_id"], row["idx"]): row for row in accounts},
        {row["id"]: row for row in sessions},
    )
