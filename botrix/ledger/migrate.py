"""Brings a ledger to the newest schema, with Alembic."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.errors import LedgerDown
from botrix.ledger.engine import create_engine
from botrix.ledger.remedies import first_line, remedy
from botrix.ledger.revisions import newest

_one_at_a_time = threading.Lock()  # Alembic hands its context about in a global
_FOLDER = Path(__file__).parent / "migrations"


def config(connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration, without a file; `connection` is handed to env.py."""
    made = Config()
    made.set_main_option("script_location", str(_FOLDER))
    made.attributes["connection"] = connection
    return made


def upgrade(url: str, within: float = 60.0) -> str:
    """Runs what is missing, also beside workers that are busy; the revision that the ledger has
    then. One that is newer than this program is left as it is. Raises LedgerDown where there is no
    answer, or where others kept it locked for `within` seconds."""
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _one_at_a_time:
        return asyncio.run(_patiently(url, within))


async def _patiently(url: str, within: float) -> str:
    """Who is held up by others lets them go on, and tries again."""
    deadline = time.monotonic() + within
    while True:
        try:
            return await _upgrade(url)
        except (OSError, sa.exc.DBAPIError) as error:
            if not _locked(error) or time.monotonic() > deadline:
                raise LedgerDown(f"the ledger could not be migrated: {_reason(error)}") from error
        await asyncio.sleep(0.5)


async def _upgrade(url: str) -> str:
    engine = create_engine(url, within=None)  # an index of a large table takes its time
    try:
        if engine.dialect.name == "postgresql":
            await _indexes_ahead(engine)
        async with engine.begin() as connection:
            return await connection.run_sync(_run, "head")
    finally:
        await engine.dispose()


async def _indexes_ahead(engine: AsyncEngine) -> None:
    """An index that is made in a transaction keeps writers out until that ends: minutes, on a large
    table. So those that a migration names as `ahead` are built before it, concurrently."""
    for script in reversed(list(ScriptDirectory.from_config(config()).walk_revisions())):
        ahead: dict[str, str] = getattr(script.module, "ahead", {})
        before = str(script.down_revision)
        async with engine.connect() as connection:
            found = await connection.run_sync(_revision)
        if not ahead or found is None or found >= script.revision:
            continue
        if found < before:
            async with engine.begin() as connection:
                await connection.run_sync(_run, before)
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await _build(connection, ahead)


_TRY = sa.text("SELECT pg_try_advisory_lock(hashtext('botrix indexes'))")
_END = sa.text("SELECT pg_advisory_unlock(hashtext('botrix indexes'))")
_WHOLE = (
    "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
    " WHERE c.relname = :name AND pg_table_is_visible(c.oid)"
)


async def _build(db: AsyncConnection, indexes: dict[str, str]) -> None:
    """Who waited for a lock here would be waited for by the build: so the lock is tried for. What
    a build left that was broken off is begun anew."""
    while not await db.scalar(_TRY):  # noqa: ASYNC110  somebody else's build has no event
        await asyncio.sleep(0.5)
    for name, sql in indexes.items():
        whole = await db.scalar(sa.text(_WHOLE), {"name": name})
        if whole is False:
            await db.execute(sa.text(f"DROP INDEX CONCURRENTLY {name}"))
        if not whole:
            await db.execute(sa.text(sql))
    await db.execute(_END)


def _revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _run(connection: sa.Connection, target: str) -> str:
    if connection.dialect.name == "postgresql":
        # Several hosts may start at once. Who waits for a lock on a table keeps all others waiting
        # behind, so not for long.
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('botrix migrate'))"))
        connection.execute(sa.text("SET LOCAL lock_timeout = '2s'"))
    found = _revision(connection)
    if found is not None and found > newest():
        return found
    command.upgrade(config(connection), target)
    return newest()


def _locked(error: Exception) -> bool:
    """Whether others were in the way (PostgreSQL's codes of a deadlock, and of a lock not had)."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    code = getattr(error.orig, "sqlstate", None)
    return code in ("40P01", "55P03") or "database is locked" in str(error.orig)


def _reason(error: Exception) -> str:
    """One line, without the statement, and what to do."""
    cause = (error.orig if isinstance(error, sa.exc.DBAPIError) else None) or error
    return f"{first_line(cause)}; {remedy(cause, 'is it up?')}"
