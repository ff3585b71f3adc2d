"""What PostgreSQL is asked to do, and what it writes: bytes of its log of changes, transactions
that write, and pages of tables and indexes that are looked at."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import asyncpg

from tests.guard.relay import before_postgres

SETTINGS = {
    "autovacuum": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "checkpoint_timeout": "1h",
    "max_wal_size": "4GB",
    "bgwriter_lru_maxpages": "0",
}
"""Of a server that writes nothing but what it is asked to."""
_WRITTEN = (
    "SELECT pg_current_wal_insert_lsn() - '0/0' AS bytes,"
    " pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS transactions"
)
_PAGES = (
    "SELECT coalesce(sum(heap_blks_hit + heap_blks_read), 0)"
    " + coalesce(sum(idx_blks_hit + idx_blks_read), 0) FROM pg_statio_user_tables"
)
_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


class Watched:
    """One database. `url`: by which the program that is watched reaches it."""

    def __init__(self, url: str) -> None:
        self._direct = url
        self._relay, self.url = before_postgres(url)

    async def seen(self) -> Counter[str]:
        """Since the beginning."""
        db = await asyncpg.connect(self._direct)
        try:
            row = await db.fetchrow(_WRITTEN)
        finally:
            await db.close()
        written = {"bytes written": int(row["bytes"]), "transactions": int(row["transactions"])}
        return Counter({**self._relay.seen, **written})

    async def pages(self) -> int:
        """Looked at since the beginning, once nobody else is connected: a server process tells of
        itself when it ends."""
        db = await asyncpg.connect(self._direct)
        try:
            deadline = time.monotonic() + 10
            while await db.fetchval(_OTHERS):
                if time.monotonic() > deadline:
                    raise RuntimeError("somebody is still connected; close the ledger first")
                await asyncio.sleep(0.005)
            return int(await db.fetchval(_PAGES))
        finally:
            await db.close()
