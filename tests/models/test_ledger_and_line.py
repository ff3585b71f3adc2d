"""The real ledgers and the real line, driven by random steps beside a model of both.

BOTRIX_MODEL_EXAMPLES sets how many examples are tried, each by a new seed; without it they are few,
and the same each time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
from redis.asyncio import Redis

from botrix.ledger.migrate import upgrade
from botrix.line.server import LineServer
from tests.models.machine import World
from tests.models.stores import PostgresStore, SqliteStore, Store
from tests.models.watched_line import WatchedLine
from tests.models.whole_machine import WholeMachine
from tests.servers.postgres import PostgresServer

_ASKED = int(os.environ.get("BOTRIX_MODEL_EXAMPLES", "0"))
_STEPS = 40

pytestmark = pytest.mark.timeout(0 if _ASKED else 600)  # to shrink a failure takes its time


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened


@pytest.mark.suite("SQLite")
def test_sqlite_and_the_line_do_as_the_model(runner: asyncio.Runner, folder: Path) -> None:
    path = folder / "ledger.sqlite"
    upgrade(f"sqlite:///{path}")
    store = SqliteStore(path)
    try:
        _drive(runner, folder, store, examples=90)
    finally:
        runner.run(store.close())


@pytest.mark.suite("PostgreSQL")
def test_postgres_and_the_line_do_as_the_model(
    runner: asyncio.Runner, folder: Path, postgres_server: PostgresServer
) -> None:
    store = PostgresStore(runner.run(postgres_server.database()))
    runner.run(store.open())
    try:
        _drive(runner, folder, store, examples=45)
    finally:
        runner.run(store.close())


def _drive(runner: asyncio.Runner, folder: Path, store: Store, *, examples: int) -> None:
    settings = hypothesis.settings(
        max_examples=_ASKED or examples, stateful_step_count=_STEPS, derandomize=not _ASKED,
        database=None, print_blob=True,
    )  # fmt: skip
    with _line(runner, folder) as (line, redis):
        world = World(runner, store, line, redis)
        hypothesis.stateful.run_state_machine_as_test(
            lambda: WholeMachine(world), settings=settings
        )


@contextmanager
def _line(runner: asyncio.Runner, folder: Path) -> Iterator[tuple[WatchedLine, Redis]]:
    """A server of its own, its client, and another program's."""
    server = LineServer(folder, folder / "line.sock")
    runner.run(server.start())
    line = WatchedLine.open(server.url)
    assert isinstance(line, WatchedLine)
    redis = Redis.from_url(server.url)
    try:
        yield line, redis
    finally:
        runner.run(line.close())
        runner.run(redis.aclose())
        runner.run(server.stop())
