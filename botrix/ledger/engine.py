"""SQLAlchemy's engine for migrations and cold queries, on either database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def create_engine(url: str) -> AsyncEngine:
    """url: `sqlite:///PATH` or `postgresql://…`. Every transaction on SQLite begins IMMEDIATE,
    or a reader that turns writer would fail at once instead of waiting (SQLite, "Isolation")."""
    if url.startswith("sqlite"):
        engine = create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:", 1))
        sa.event.listen(engine.sync_engine, "connect", _prepare)
        sa.event.listen(engine.sync_engine, "begin", _begin_immediate)
        return engine
    return create_async_engine(
        url.replace("postgresql:", "postgresql+asyncpg:", 1), pool_pre_ping=True, pool_size=5
    )


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
