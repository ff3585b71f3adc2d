"""What the ledger on PostgreSQL leaves of a connection that it puts back."""

from __future__ import annotations

import asyncpg
import pytest

from botrix.ledger.postgres import PostgresLedger
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
