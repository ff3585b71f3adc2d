"""What the ledger on PostgreSQL leaves of a connection that it puts back, and how it takes one."""

from __future__ import annotations

import asyncpg
import pytest

from botrix.ledger import engine as engines
from botrix.ledger.engine import create_engine
from botrix.ledger.keys import Keys
from botrix.ledger.postgres import PostgresLedger
from tests.guard.relay import before_postgres
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.suite("PostgreSQL")


async def _seen(url: str) -> list[tuple[str, str]]:
    """State and last statement of each connection of the ledger."""
    db = await asyncpg.connect(url)
    try:
        sql = "SELECT state, query FROM pg_stat_activity WHERE application_name = 'botrix'"
        return [tuple(row) for row in await db.fetch(f"{sql} AND datname = current_database()")]
    finally:
        await db.close()


async def test_a_verb_is_followed_by_nothing(postgres_server: PostgresServer) -> None:
    url = await postgres_server.database()
    ledger = PostgresLedger(url)
    try:
        await ledger.several_tenants()
        ((state, query),) = await _seen(url)
        assert state == "idle"
        assert "tenants" in query, "a round trip more for each verb"
    finally:
        await ledger.close()


async def _round_trips_of_a_read(url: str) -> int:
    """Once it was said before."""
    relay, through = before_postgres(url)
    engine = create_engine(through)
    try:
        for _ in range(2):
            await Keys(engine).any_made()
        before = relay.seen["round trips"]
        await Keys(engine).any_made()
        return relay.seen["round trips"] - before
    finally:
        await engine.dispose()


async def test_a_read_is_one_round_trip(postgres_server: PostgresServer) -> None:
    assert await _round_trips_of_a_read(await postgres_server.database()) == 1


async def test_a_connection_that_was_idle_is_tried_first(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_FRESH", -1.0)
    assert await _round_trips_of_a_read(await postgres_server.database()) > 1


async def test_one_that_was_ended_is_not_taken_again(postgres_server: PostgresServer) -> None:
    url = await postgres_server.database()
    engine = create_engine(url)
    db = await asyncpg.connect(url)
    try:
        await Keys(engine).any_made()
        others = "FROM pg_stat_activity WHERE application_name = 'botrix' AND datname = $1"
        name = url.rpartition("/")[2]
        await db.execute(f"SELECT pg_terminate_backend(pid) {others}", name)
        while await db.fetchval(f"SELECT count(*) {others}", name):
            pass
        await Keys(engine).any_made()
    finally:
        await db.close()
        await engine.dispose()
