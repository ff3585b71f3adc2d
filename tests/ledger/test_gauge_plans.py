"""What a scrape asks is read by indexes, however much the ledger holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from botrix.ledger import gauges
from botrix.ledger.queries import Queries
from tests.ledger.seen_plans import (
    ANALYSED,
    OnPostgres,
    OnSqlite,
    filled_postgres,
    filled_sqlite,
    heard,
)
from tests.servers.postgres import PostgresServer

_MOST = 300
"""Messages that are counted here; there are more."""
_MORE = (
    "INSERT INTO sessions (id, worker_id, host, pid, version, status, started_at, ended_at)"
    " SELECT 'l' || id, 'w', 'h', 1, '0', 'lost', 0, 1 FROM jobs LIMIT 1000",
    "INSERT INTO webhooks (id, url, secret, created_at) VALUES ('w', 'u', 's', 0)",
    "INSERT INTO deliveries (webhook_id, job_id, event, body, at)"
    " SELECT 'w', id, 'e', 'b', 0 FROM jobs",
    "INSERT INTO throttles (name) SELECT name FROM directories",
)
_PLACED = (
    "UPDATE jobs SET place = {row}, lane = CASE WHEN status = 'running' THEN 'low' ELSE 'normal'"
    " END WHERE status IN ('pending', 'running')"
)
_DROPPED = ("ix_jobs_line", "ix_deliveries_tenant")
_INDEXES = {
    "running": ("jobs_line", "jobs_line", "jobs_line", "sessions_status", "sessions_status"),
    "directories": ("directories", "throttle_users"),
    "posted": ("deliveries_tenant", "deliveries_tenant", "deliveries_tenant", "webhooks_tenant"),
}
"""For each statement, in order."""


def _asked(queries: Queries) -> dict[str, Callable[[], Awaitable[Any]]]:
    engine = queries.engine
    return {
        "running": lambda: gauges.running(engine),
        "directories": lambda: gauges.used_directories(engine, "default"),
        "posted": lambda: gauges.posted(engine, "default"),
    }


async def _problems(queries: Queries, database: OnSqlite | OnPostgres) -> dict[str, str]:
    found = {}
    with heard(queries) as said:
        for name, ask in _asked(queries).items():
            said.clear()
            try:
                await ask()
            except Exception as error:  # SQLite has no index of this name
                found[name] = str(error.__cause__)
                continue
            assert len(said) == len(_INDEXES[name]), name
            for (sql, values), wanted in zip(said, _INDEXES[name], strict=True):
                if problem := await database.problem(sql, values, wanted):
                    found[f"{name}: {wanted}"] = problem
    return found


@pytest.mark.suite("SQLite")
async def test_plans_of_gauges_on_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauges, "MOST", _MOST)
    more = (*_MORE, _PLACED.format(row="rowid"))
    async with filled_sqlite(tmp_path, more) as (queries, database):
        assert await _problems(queries, database) == {}
        for name in _DROPPED:
            async with database.without(name):
                assert await _problems(queries, database), f"nobody misses {name}"


@pytest.mark.suite("PostgreSQL")
@pytest.mark.parametrize("analysed", ANALYSED)
async def test_plans_of_gauges_on_postgres(
    postgres_server: PostgresServer, analysed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauges, "MOST", _MOST)
    more = (*_MORE, _PLACED.format(row="nextval('place_sequence')"))
    async with filled_postgres(postgres_server, analysed, more) as (queries, database):
        assert await _problems(queries, database) == {}
        for name in _DROPPED if analysed == "when filled" else ():
            async with database.without(name):
                assert await _problems(queries, database), f"nobody misses {name}"
