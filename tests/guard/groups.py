"""The groups of counts, and how one is made: on fresh ground, by a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from botrix.ledger.migrate import upgrade
from tests.guard import postgres
from tests.guard.ledger import Counts
from tests.servers.postgres import PostgresServer

_ROOT = Path(__file__).parents[2]
_WITHIN = 100.0


@dataclass(frozen=True)
class Group:
    """name: as it is recorded; what: as counted.py calls it."""

    name: str
    what: str
    on_postgres: bool = False


GROUPS = (
    Group("ledger, SQLite", "ledger"),
    Group("ledger, PostgreSQL", "ledger", on_postgres=True),
    Group("pages, PostgreSQL", "pages", on_postgres=True),
    Group("line", "line"),
    Group("worker, SQLite", "worker"),
    Group("worker, PostgreSQL", "worker", on_postgres=True),
    Group("api, SQLite", "api"),
    Group("api, PostgreSQL", "api", on_postgres=True),
)


class Ground:
    """What groups begin with: an empty ledger, to be copied, and a quiet server of PostgreSQL."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self._empty = folder / "empty.sqlite"
        self._server = server
        upgrade(f"sqlite:///{self._empty}")

    def count(self, group: Group) -> Counts:
        with TemporaryDirectory(prefix="bx-") as name:
            folder, url = Path(name), ""
            if group.on_postgres:
                url = asyncio.run(self._server.database())
            else:
                shutil.copy(self._empty, folder / "ledger.sqlite")
            _run(group, folder, url)
            counts: Counts = json.loads((folder / "counts.json").read_text())
            return counts


@contextlib.contextmanager
def ground() -> Iterator[Ground]:
    with TemporaryDirectory(prefix="bx-pg-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = PostgresServer(folder)
        server.settings = postgres.SETTINGS
        try:
            server.start()
            yield Ground(folder, server)
        finally:
            server.stop(signal.SIGQUIT)  # nothing of it is needed any more


def _run(group: Group, folder: Path, url: str) -> None:
    """With nothing of this one's environment that settings could be read from."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("BOTRIX_", "OTEL_"))}
    environ |= {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "tests.guard.counted", group.what, str(folder), url]
    done = subprocess.run(
        command,
        cwd=_ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=_WITHIN,
        check=False,
    )
    if done.returncode or not (folder / "counts.json").exists():
        raise RuntimeError(f"{group.name} could not be counted: {done.stderr[-3000:]}")
