"""Brings a ledger to the newest schema, with Alembic; and tells which schema it has."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from botrix.errors import LedgerDown
from botrix.ledger.engine import create_engine
from botrix.ledger.remedies import first_line, remedy

_one_at_a_time = threading.Lock()  # Alembic hands its context about in a global
_FOLDER = Path(__file__).parent / "migrations"


def config(connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration, without a file; `connection` is handed to env.py."""
    made = Config()
    made.set_main_option("script_location", str(_FOLDER))
    made.attributes["connection"] = connection
    return made


def newest() -> str:
    """The revision that this program needs."""
    head = ScriptDirectory.from_config(config()).get_current_head()
    assert head is not None
    return head


def upgrade(url: str) -> None:
    """Runs what is missing, in one transaction. Raises LedgerDown where there is no answer."""
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _one_at_a_time:
        asyncio.run(_upgrade(url))


def _run(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":  # several hosts may start at once
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('botrix migrate'))"))
    command.upgrade(config(connection), "head")


async def _upgrade(url: str) -> None:
    engine = create_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_run)
    except (OSError, sa.exc.DBAPIError) as error:
        cause = (error.orig if isinstance(error, sa.exc.DBAPIError) else None) or error
        what = f"{first_line(cause)}; {remedy(cause, 'is it up?')}"
        raise LedgerDown(f"the ledger could not be migrated: {what}") from error
    finally:
        await engine.dispose()
