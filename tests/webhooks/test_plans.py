"""With 100,000 deliveries, each look at them is by an index, and few rows are read."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from botrix.audit import NOBODY
from botrix.ledger import postgres_posting, sqlite_posting
from botrix.ledger.engine import create_engine
from botrix.ledger.migrate import upgrade
from botrix.ledger.postgres import _PLANNER
from botrix.ledger.posting import Receipt, Wanted
from botrix.ledger.webhooks import Webhooks
from botrix.states import DeliveryStatus
from tests.ledger.test_plans import _Explaining
from tests.servers.postgres import PostgresServer

_FILL = (
    "INSERT INTO webhooks (id, url, secret, disabled_at, created_at) SELECT 'w' || n, 'u', 's',"
    " CASE WHEN n = 19 THEN 1.0 END, n FROM {series} WHERE n < 20",
    "INSERT INTO deliveries (webhook_id, job_id, event, body, at, status, next_at) SELECT"
    " 'w' || (n % 20), 'j', 'job.started', '{{}}', {now} - n, CASE WHEN n % 3 = 0 THEN 'waiting'"
    " WHEN n % 3 = 1 THEN 'sent' ELSE 'dead' END, CASE WHEN n % 6 = 0 THEN 0 ELSE 1e12 END"
    " FROM {series}",
)
_WANTED = Wanted(128, 4, 60.0)
_RECEIPTS = [Receipt(n, 1, f"w{n % 20}", DeliveryStatus.WAITING, "x", 5.0) for n in range(1, 30)]
_LISTS: list[dict[str, str]] = [{"status": "dead"}, {"status": "dead", "webhook_id": "w7"}]


@pytest.mark.suite("SQLite")
async def test_plans_on_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    await asyncio.to_thread(upgrade, f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        series = (
            "(WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 99999)"
            " SELECT n FROM c) s"
        )
        for statement in _FILL:
            db.execute(statement.format(series=series, now="2e9"))
        statements: set[str] = set()
        db.set_trace_callback(statements.add)
        due = sqlite_posting.due(db, _WANTED, 2e9)
        assert len(due) == 40  # of ten webhooks something is due, of each four
        assert len(sqlite_posting.take(db, due, 60.0, 2e9)) == 40
        sqlite_posting.settle(db, _RECEIPTS, 2e9)
        assert sqlite_posting.forget(db, 1000, 2e9 + 86_400 * 2.9) > 1000
        db.set_trace_callback(None)
        _check(db, statements)
    await _lists(f"sqlite:///{path}")


def _check(db: sqlite3.Connection, statements: set[str]) -> None:
    scans = [
        (step[3], sql)
        for sql in statements
        for step in db.execute(f"EXPLAIN QUERY PLAN {sql}")
        if re.match(r"SCAN (deliveries|d)\b", step[3])
    ]
    assert len(statements) > 20
    assert scans == []


async def _lists(url: str) -> None:
    engine = create_engine(url)
    held = Webhooks(engine)
    asked: list[tuple[str, Any]] = []
    sa.event.listen(
        engine.sync_engine, "before_cursor_execute",
        lambda _, __, sql, values, *rest: asked.append((sql, values)),
    )  # fmt: skip
    for where in _LISTS:
        assert len(await held.deliveries("default", where, 90_000, 50)) == 50
    assert await held.replay_dead("default", "w7", NOBODY) > 1000
    lists = [(sql, values) for sql, values in asked if sql.startswith("SELECT deliveries.n")]
    async with engine.begin() as db:
        for sql, values in lists:
            if db.dialect.name == "sqlite":
                plan = await db.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
                assert "USING INDEX" in str(plan.all())
                assert "SCAN" not in str(plan.all())
            else:
                plan = await db.exec_driver_sql(f"EXPLAIN {sql}", values)
                text = str(plan.all())
                assert "Index Scan" in text
                assert "Sort" not in text
    await engine.dispose()
    assert len(lists) >= len(_LISTS)


@pytest.mark.suite("PostgreSQL")
async def test_plans_on_postgres(postgres_server: PostgresServer) -> None:
    url = await postgres_server.database()
    db = await asyncpg.connect(url, server_settings=_PLANNER)
    try:
        now = "extract(epoch FROM now())"
        for statement in _FILL:
            series = "generate_series(0, 99999) s(n)"
            await db.execute(statement.format(series=series, now=now))
        await db.execute("VACUUM ANALYZE")
        explaining = _Explaining(db)
        assert len(await postgres_posting.take(explaining, _WANTED)) == 40
        await postgres_posting.settle(explaining, _RECEIPTS)
        await db.execute("UPDATE deliveries SET at = at - 86400 * 2.9")
        assert await postgres_posting.forget(explaining, 1000) > 1000
        assert [table for table, _ in explaining.scans if table == "deliveries"] == []
        assert explaining.seen[postgres_posting.TAKE] >= {"ix_deliveries_next"}
        assert explaining.seen[postgres_posting.FORGET] >= {"ix_deliveries_over"}
        by_webhook = {"ix_deliveries_next", "ix_deliveries_webhook"}
        assert explaining.seen[postgres_posting.GIVE_UP] & by_webhook
    finally:
        await db.close()
    await _lists(url)
