"""A ledger in use gets the indexes and tallies of lists: on PostgreSQL nobody waits for it, and
what there was is counted."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
import sqlalchemy as sa
from alembic import command

from botrix.ledger import statistics
from botrix.ledger.engine import create_engine
from botrix.ledger.migrate import config, upgrade
from botrix.ledger.revisions import newest
from tests.servers.postgres import PostgresServer
from tests.servers.system import until

_BEFORE = "0006"
_JOB = (
    "INSERT INTO jobs (id, source, directory, status, count, created, failed, importing,"
    " created_at, updated_at) VALUES ('{0}', 'generate', 'd', '{1}', 3, 2, 1, {2}, 0, 0)"
)
_ACCOUNT = (
    "INSERT INTO accounts (job_id, idx, username, email, given_name, family_name, display_name,"
    " updated_at) VALUES ('a', {}, 'u', 'e', 'g', 'f', 'd', 0)"
)
_WHOLE = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_accounts_state'::regclass"


async def _at_before(url: str) -> None:
    engine = create_engine(url)
    async with engine.begin() as db:
        await db.run_sync(lambda connection: command.upgrade(config(connection), _BEFORE))
        for job in (("a", "failed", "false"), ("b", "running", "false"), ("c", "pending", "true")):
            await db.execute(sa.text(_JOB.format(*job)))
    await engine.dispose()


@pytest_asyncio.fixture
async def on_postgres(postgres_server: PostgresServer) -> str:
    url = await postgres_server.empty_database()
    await _at_before(url)
    return url


@pytest_asyncio.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.suite("SQLite")),
        pytest.param("postgres", marks=pytest.mark.suite("PostgreSQL")),
    ]
)
async def older(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The url of a ledger of the revision before."""
    if request.param == "postgres":
        url = await request.getfixturevalue("postgres_server").empty_database()
    else:
        url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    await _at_before(url)
    return url


async def test_what_there_was_is_counted(older: str) -> None:
    assert await asyncio.to_thread(upgrade, older) == newest()
    engine = create_engine(older)
    found = await statistics.of_jobs(engine, "default")
    await engine.dispose()
    assert found["jobs"] == {"failed": 1, "running": 1}
    assert (found["accounts"]["count"], found["accounts"]["created"]) == (6, 4)


@pytest.mark.suite("PostgreSQL")
async def test_writers_go_on_while_indexes_are_built(on_postgres: str) -> None:
    url = on_postgres
    slow, quick = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        under_way = slow.transaction()  # a build waits for its end
        await under_way.start()
        await slow.execute(_ACCOUNT.format(0))
        upgrading = asyncio.create_task(asyncio.to_thread(upgrade, url))

        async def builds() -> bool:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX C%'"
            return bool(await quick.fetchval(f"{waiting} AND wait_event_type = 'Lock'"))

        await until(builds, 30, "the build waits")
        await quick.execute(_ACCOUNT.format(1), timeout=1.0)
        await quick.execute("UPDATE jobs SET updated_at = 1", timeout=1.0)
        assert not upgrading.done()
        await under_way.commit()
        assert await upgrading == newest()
    finally:
        await slow.close()
        await quick.close()


@pytest.mark.suite("PostgreSQL")
async def test_a_build_that_was_broken_off_is_begun_anew(on_postgres: str) -> None:
    url = on_postgres
    db = await asyncpg.connect(url)
    try:
        await db.execute("CREATE INDEX ix_accounts_state ON accounts (idx)")
        broken = "indexrelid = 'ix_accounts_state'::regclass"
        await db.execute(f"UPDATE pg_index SET indisvalid = false WHERE {broken}")
        await asyncio.to_thread(upgrade, url)
        assert await db.fetchval(_WHOLE) is True
        made = "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_accounts_state'"
        assert "(tenant_id, status, job_id, idx)" in await db.fetchval(made)
    finally:
        await db.close()


@pytest.mark.suite("PostgreSQL")
async def test_two_may_migrate_at_once(on_postgres: str, folder: Path) -> None:
    url = on_postgres
    environ = {**os.environ, "BOTRIX_LEDGER_URL": url, "BOTRIX_DATA": str(folder)}
    migrate = (sys.executable, "-m", "botrix", "migrate")
    both = [asyncio.create_subprocess_exec(*migrate, env=environ) for _ in range(2)]
    processes = await asyncio.gather(*both)
    assert [await process.wait() for process in processes] == [0, 0]
