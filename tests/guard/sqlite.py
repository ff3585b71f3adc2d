"""What SQLite is asked to do: statements, transactions, the steps of its virtual machine, and the
pages that commits write."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

from botrix.ledger import sqlite_resting

_HEADER = 32
_FRAME = 24


class Watched:
    """Every connection of this process to a file, from now on. Nothing is written back from the log
    to the file, so that its growth is what was written."""

    def __init__(self, path: Path) -> None:
        sqlite_resting._WORTH = 1 << 30
        self._seen: Counter[str] = Counter()
        self._log = path.with_name(f"{path.name}-wal")
        self._connect = sqlite3.connect
        self._keeper = self._connect(path, isolation_level=None)
        self._keeper.execute("PRAGMA journal_mode = WAL")
        self._page = self._keeper.execute("PRAGMA page_size").fetchone()[0]
        self._keeper.execute("SELECT count(*) FROM sqlite_master").fetchone()  # so the log stays
        sqlite3.connect = self._opened  # type: ignore[assignment]

    def seen(self) -> Counter[str]:
        """Since the beginning."""
        size = self._log.stat().st_size if self._log.exists() else 0
        pages = max(0, size - _HEADER) // (self._page + _FRAME)
        return Counter({**self._seen, "pages written": pages})

    def _opened(self, *given: Any, **more: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = self._connect(*given, **more)
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.set_trace_callback(self._statement)
        db.set_progress_handler(self._step, 1)
        return db

    def _statement(self, sql: str) -> None:
        if not sql.startswith("PRAGMA"):
            self._seen["statements"] += 1
            self._seen["transactions"] += sql.startswith("BEGIN")

    def _step(self) -> int:
        self._seen["steps"] += 1
        return 0
