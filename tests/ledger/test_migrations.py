"""The migrations make what `tables.py` defines, CHECK constraints and indexes included."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from botrix.ledger.migrate import upgrade
from botrix.ledger.tables import metadata

pytestmark = pytest.mark.suite("SQLite")


def _schema(path: Path) -> dict[str, list[str]]:
    """The parts of each table and index, without their order, quotes and spaces."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: _parts(sql) for name, sql in rows if name != "alembic_version"}


def _parts(sql: str) -> list[str]:
    parts = re.sub(r'[ \t"()]', "", sql).splitlines()
    return sorted(part.rstrip(",") for part in parts if part)


async def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
    migrated, defined = tmp_path / "migrated.sqlite", tmp_path / "defined.sqlite"
    await asyncio.to_thread(upgrade, f"sqlite:///{migrated}")
    engine = sa.create_engine(f"sqlite:///{defined}")
    metadata.create_all(engine)
    engine.dispose()
    assert _schema(migrated) == _schema(defined)


async def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    await asyncio.to_thread(upgrade, f"sqlite:///{path}")
    before = _schema(path)
    await asyncio.to_thread(upgrade, f"sqlite:///{path}")
    assert _schema(path) == before
