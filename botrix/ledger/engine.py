"""SQLAlchemy's engine for migrations and cold queries, on either database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from botrix.errors import InvalidInput, LedgerDown

T = TypeVar("T")
_MISSING = ("42P01", "42703")
"""PostgreSQL: there is no such table, or no such column."""
_WITHIN = 10.0
"""Seconds for a connection or a statement; a database that takes longer counts as down."""
_FRESH = 5.0
"""Seconds after its use for which a connection is taken to live, if nothing else is known."""

PLANNER = {
    "application_name": "botrix",
    "jit": "off",
    **{f"enable_{what}": "off" for what in ("seqscan", "bitmapscan", "hashjoin", "mergejoin")},
    **{f"enable_{what}": "off" for what in ("sort", "incremental_sort")},
}
"""PostgreSQL sorts only where no index has the order: see ranges.py."""

_PRAGMAS = (
    "journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON",
    "secure_delete=ON",
)  # fmt: skip


class _Hinted(SQLiteCompiler):
    """SQLAlchemy drops `INDEXED BY` of a query on SQLite."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        return text


class now(FunctionElement[float]):  # noqa: N801  named as the SQL function that it is
    """The clock of the database, in seconds since 1970."""

    type = sa.Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_on_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_on_postgresql(*_: Any, **__: Any) -> str:
    return "extract(epoch FROM clock_timestamp())::float8"


def create_engine(url: str, within: float | None = _WITHIN) -> AsyncEngine:
    """url: `sqlite:///PATH` or `postgresql://…`; within: seconds that PostgreSQL has for a
    statement, None for as long as it takes. Every transaction on SQLite begins IMMEDIATE,
    or a reader that turns writer would fail at once instead of waiting (SQLite, "Isolation").
    No error shows the values of a statement: sealed passwords are among them."""
    if url.startswith("sqlite"):
        engine = create_async_engine(
            url.replace("sqlite:", "sqlite+aiosqlite:", 1), hide_parameters=True
        )
        engine.dialect.statement_compiler = _Hinted
        sa.event.listen(engine.sync_engine, "connect", _prepare)
        sa.event.listen(engine.sync_engine, "begin", _begin_immediate)
        return engine

    async def connect() -> Any:
        """By asyncpg itself, which reads `sslmode`, several hosts and the like as libpq does."""
        planner = PLANNER if within is not None else {}
        return await asyncpg.connect(
            url, timeout=_WITHIN, command_timeout=within, server_settings=planner
        )

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=5,
        pool_timeout=_WITHIN,
        pool_use_lifo=True,
        hide_parameters=True,
    )
    sa.event.listen(engine.sync_engine, "checkin", _used)
    sa.event.listen(engine.sync_engine, "checkout", _ask_whether_it_lives)
    return engine


@asynccontextmanager
async def begin(engine: AsyncEngine, *, reading: bool = False) -> AsyncIterator[AsyncConnection]:
    """A transaction; reading: one that only looks, and on SQLite waits for no writer. Raises
    LedgerDown where the database does not answer, InvalidInput for a value that it cannot hold."""
    try:
        async with engine.connect() as connection:
            await connection.execution_options(reading=reading)
            if reading and engine.dialect.name == "postgresql":
                # Each statement sees what is committed in any case: BEGIN and COMMIT would be two
                # round trips for nothing.
                await connection.execution_options(isolation_level="AUTOCOMMIT")
            async with connection.begin():
                yield connection
    except (sa.exc.OperationalError, sa.exc.InterfaceError, OSError) as error:
        raise LedgerDown("the ledger does not answer; try again in a moment") from error
    except (sa.exc.DBAPIError, OverflowError, UnicodeError) as error:
        if getattr(getattr(error, "orig", None), "sqlstate", None) in _MISSING:
            raise LedgerDown("the ledger is not migrated yet; run: botrix migrate") from error
        if _of_a_value(error):
            raise InvalidInput(
                "what was asked for holds a character or number that no ledger can hold"
            ) from error
        raise


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Also where who waits for it is cancelled, as the stream of an answer is when nobody reads it
    any more. A connection to SQLite that is given up in the middle of a transaction keeps writers
    out until somebody collects it."""
    task = asyncio.create_task(work)
    _going_on.add(task)
    task.add_done_callback(_going_on.discard)
    return await asyncio.shield(task)


_going_on: set[asyncio.Task[Any]] = set()


def _of_a_value(error: Exception) -> bool:
    """Whether a driver refused a value, before any database looked at it or when it did."""
    kinds = (sa.exc.DataError, OverflowError, UnicodeError)
    return isinstance(error, kinds) or type(error) is sa.exc.DBAPIError


def _used(_connection: Any, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _ask_whether_it_lives(connection: Any, record: Any, _proxy: Any) -> None:
    """Before it is used again; one that was used just now is asked nothing, which would be three
    round trips for each statement, but may be known to have ended."""
    if connection.driver_connection.is_closed():
        raise sa.exc.InvalidatePoolError
    now = time.monotonic()
    if now - record.info.get("used", now) > _FRESH:  # a new one was not used yet
        try:
            connection.ping()
        except Exception as error:
            raise sa.exc.InvalidatePoolError from error


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    only_looks = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if only_looks else "BEGIN IMMEDIATE")
