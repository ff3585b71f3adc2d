"""How statements are read on filled tables: by which index, and how much of it."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy as sa

from benchmarks.crowd import fill_postgres, fill_sqlite
from botrix.ledger.engine import PLANNER, create_engine
from botrix.ledger.migrate import upgrade
from botrix.ledger.queries import Queries
from tests.servers.postgres import PostgresServer

JOBS = 3000  # and 30,000 accounts
ANALYSED = ("while empty", "when filled")
_MOST_ROWS = 1500  # the largest page, with what is left over of its ranges
_MOST_STEPS = 200_000  # of SQLite's machine; a look at 30,000 accounts takes more


@contextmanager
def heard(queries: Queries) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are really run, and their values."""
    said: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, sql: str, values: Any, _x: Any, _many: bool) -> None:
        if not sql.startswith("BEGIN"):
            said.append((sql, values))

    sa.event.listen(queries.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        sa.event.remove(queries.engine.sync_engine, "before_cursor_execute", note)


class OnSqlite:
    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)

    async def execute(self, sql: str) -> None:
        self._db.execute(sql)

    @asynccontextmanager
    async def without(self, index: str) -> AsyncIterator[None]:
        (sql,) = self._db.execute(
            "SELECT sql FROM sqlite_master WHERE name = ?", (index,)
        ).fetchone()
        self._db.execute(f"DROP INDEX {index}")
        yield
        self._db.execute(sql)

    def steps(self, sql: str, values: Any) -> int:
        """Of the machine, in thousands."""
        passed = 0

        def step() -> int:
            nonlocal passed
            passed += 1000
            return 0

        self._db.set_progress_handler(step, 1000)
        self._db.execute(sql, values).fetchall()
        self._db.set_progress_handler(None, 0)
        return passed

    async def problem(self, sql: str, values: Any, wanted: str) -> str:
        plan = [row[3] for row in self._db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
        if scans := [line for line in plan if re.match(r"SCAN (jobs|accounts|history)\b", line)]:
            return f"it scans: {scans}"
        if (steps := self.steps(sql, values)) > _MOST_STEPS:
            return f"it takes {steps} steps: {plan}"
        key = "PRIMARY KEY" if wanted == "accounts" else f"autoindex_{wanted}_|PRIMARY KEY"
        found = not wanted or any(re.search(f"ix_{wanted}\\b|{key}", line) for line in plan)
        return "" if found else f"it does without {wanted}: {plan}"

    async def close(self) -> None:
        self._db.close()


class OnPostgres:
    def __init__(self, db: asyncpg.Connection[asyncpg.Record]) -> None:
        self._db = db

    async def execute(self, sql: str) -> None:
        await self._db.execute(sql)

    @asynccontextmanager
    async def without(self, index: str) -> AsyncIterator[None]:
        sql = await self._db.fetchval("SELECT indexdef FROM pg_indexes WHERE indexname = $1", index)
        await self._db.execute(f"DROP INDEX {index}")
        yield
        await self._db.execute(sql)

    async def problem(self, sql: str, values: Any, wanted: str) -> str:
        text = await self._db.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *values)
        steps = list(_steps(json.loads(text)[0]["Plan"]))
        if any(step["Node Type"] == "Seq Scan" for step in steps):
            return "it scans"
        most = max(_rows(step) for step in steps)
        if most > _MOST_ROWS:
            return f"it reads {most} rows: {[step['Node Type'] for step in steps]}"
        used = {step["Index Name"] for step in steps if "Index Name" in step}
        fits = {f"ix_{wanted}", f"pk_{wanted}"} if wanted else used
        return "" if used & fits else f"it does without {wanted}: {used}"

    async def close(self) -> None:
        await self._db.close()


def _steps(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield step
    for inner in step.get("Plans", ()):
        yield from _steps(inner)


def _rows(step: dict[str, Any]) -> float:
    left_out = step.get("Rows Removed by Filter", 0) + step.get("Rows Removed by Index Recheck", 0)
    return float((step["Actual Rows"] + left_out) * step["Actual Loops"])


@asynccontextmanager
async def filled_sqlite(
    folder: Path, more: Sequence[str] = ()
) -> AsyncIterator[tuple[Queries, OnSqlite]]:
    """more: statements that fill it further."""
    path = folder / "ledger.sqlite"
    await asyncio.to_thread(upgrade, f"sqlite:///{path}")
    await asyncio.to_thread(fill_sqlite, str(path), JOBS)
    queries, database = Queries(create_engine(f"sqlite:///{path}")), OnSqlite(path)
    try:
        for sql in more:
            await database.execute(sql)
        yield queries, database
    finally:
        await database.close()
        await queries.close()


@asynccontextmanager
async def filled_postgres(
    server: PostgresServer, analysed: str, more: Sequence[str] = ()
) -> AsyncIterator[tuple[Queries, OnPostgres]]:
    """analysed: one of ANALYSED, for plans must not hang on when it last was."""
    url = await server.database()
    db = await asyncpg.connect(url, server_settings=PLANNER)
    queries, database = Queries(create_engine(url)), OnPostgres(db)
    try:
        if analysed == "while empty":
            await db.execute("VACUUM ANALYZE")
        await fill_postgres(url, JOBS)
        for sql in more:
            await db.execute(sql)
        if analysed == "when filled":
            await db.execute("VACUUM ANALYZE")
        yield queries, database
    finally:
        await database.close()
        await queries.close()
