"""The migrations make what `tables` defines, CHECK constraints and indexes included."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

from botrix.ledger.engine import create_engine
from botrix.ledger.migrate import config, upgrade
from botrix.ledger.revisions import newest
from botrix.ledger.tables import metadata
from tests.servers.postgres import PostgresServer

_DEFINED = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'trigger'"


def _schema(path: Path) -> dict[str, list[str]]:
    """The parts of each table and index, without their order, quotes and spaces."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute(_DEFINED).fetchall()
    return {name: _parts(sql) for name, sql in rows if name != "alembic_version"}


def _parts(sql: str) -> list[str]:
    """By the commas outside of any brackets: a column that was added later stands on no line of
    its own."""
    parts, depth = [""], 0
    for c in sql:
        depth += (c == "(") - (c == ")")
        if c == "," and depth <= 1:
            parts.append("")
        else:
            parts[-1] += c
    return sorted(re.sub(r'[\s"()]', "", part) for part in parts)


@pytest.mark.suite("SQLite")
async def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
    migrated, defined = tmp_path / "migrated.sqlite", tmp_path / "defined.sqlite"
    await asyncio.to_thread(upgrade, f"sqlite:///{migrated}")
    engine = sa.create_engine(f"sqlite:///{defined}")
    metadata.create_all(engine)
    engine.dispose()
    assert _schema(migrated) == _schema(defined)


@pytest.mark.suite("SQLite")
async def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    await asyncio.to_thread(upgrade, f"sqlite:///{path}")
    before = _schema(path)
    await asyncio.to_thread(upgrade, f"sqlite:///{path}")
    assert _schema(path) == before


def _stepwise(path: Path) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Each revision, and its tables, one after another."""
    engine = sa.create_engine(f"sqlite:///{path}")
    scripts = ScriptDirectory.from_config(config())
    for script in reversed(list(scripts.walk_revisions())):
        with engine.begin() as connection:
            command.upgrade(config(connection), script.revision)
        inspector = sa.inspect(engine)
        yield (
            script.revision,
            {name: _table(inspector, name) for name in inspector.get_table_names()},
        )
    engine.dispose()


def _table(inspector: sa.Inspector, name: str) -> dict[str, Any]:
    unique = "SELECT name FROM sqlite_master WHERE tbl_name = :name AND sql LIKE 'CREATE UNIQUE%'"
    with inspector.bind.connect() as db:
        indexes = db.execute(sa.text(unique), {"name": name}).scalars().all()
    return {
        "columns": {
            column["name"]: (str(column["type"]), column["nullable"], column["default"])
            for column in inspector.get_columns(name)
        },
        "rules": {
            *indexes,
            *(str(check["sqltext"]) for check in inspector.get_check_constraints(name)),
            *(str(key["referred_table"]) for key in inspector.get_foreign_keys(name)),
        },
    }


@pytest.mark.suite("SQLite")
def test_each_migration_leaves_room_for_the_program_before_it(tmp_path: Path) -> None:
    """See docs/decisions/0017-upgrades.md."""
    before: dict[str, dict[str, Any]] = {}
    for revision, tables in _stepwise(tmp_path / "ledger.sqlite"):
        for name, old in before.items():
            new = tables[name]  # it is still there
            where = f"{revision}, table {name}"
            assert old["columns"].items() <= new["columns"].items(), where
            assert new["rules"] <= old["rules"], f"{where}: it refuses what was written before"
            for column, (_, nullable, default) in new["columns"].items():
                fills = column in old["columns"] or nullable or default is not None
                assert fills, f"{where}: the program before fills no {column}"
        before = tables


def test_revisions_are_numbered_in_order() -> None:
    scripts = ScriptDirectory.from_config(config())
    numbers = [script.revision for script in scripts.walk_revisions()]
    assert numbers == [f"{n:04}" for n in range(len(numbers), 0, -1)]
    assert newest() == numbers[0] == scripts.get_current_head()


@pytest.mark.suite("PostgreSQL")
async def test_the_migrations_make_the_tables_on_postgres(postgres_server: PostgresServer) -> None:
    migrated, defined = await postgres_server.database(), await postgres_server.empty_database()
    engine = create_engine(defined)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()
    assert await _postgres_schema(migrated) == await _postgres_schema(defined)


async def _postgres_schema(url: str) -> list[tuple[str, ...]]:
    db = await asyncpg.connect(url)
    try:
        rows = await db.fetch(_POSTGRES_SCHEMA)
    finally:
        await db.close()
    return sorted(tuple(map(str, row)) for row in rows if "alembic_version" not in row[0])


_POSTGRES_SCHEMA = """
SELECT conrelid::regclass::text || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT table_name || '.' || column_name,
  concat_ws(' ', data_type, is_nullable, column_default)
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT sequencename, 'sequence' FROM pg_sequences
"""
