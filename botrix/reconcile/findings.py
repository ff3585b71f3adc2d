"""What was found to differ, in a file that is only there for as long as it is needed: however much
it is, memory stays the same."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class What(StrEnum):
    """missing: the ledger says created, and there is no such entry. changed: it is not as the
    ledger says. unknown: it bears a tag of ours, and the ledger knows no such account. unsure: the
    directory did not tell."""

    MISSING = "missing"
    CHANGED = "changed"
    UNKNOWN = "unknown"
    UNSURE = "unsure"


_COLUMNS = "what, reason, job_id, idx, username, entry_id, attempt, detail, seen"
_ADD = f"INSERT OR IGNORE INTO findings ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_SELECT = f"SELECT {_COLUMNS}, mended, n FROM findings"  # noqa: S608
_SCHEMA = """
CREATE TABLE findings (
  n INTEGER PRIMARY KEY, what TEXT NOT NULL, reason TEXT NOT NULL, job_id TEXT NOT NULL,
  idx INTEGER NOT NULL, username TEXT NOT NULL, entry_id TEXT NOT NULL, attempt INTEGER NOT NULL,
  detail TEXT NOT NULL, seen TEXT NOT NULL, mended TEXT NOT NULL DEFAULT '',
  UNIQUE (job_id, idx, what, entry_id)
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """entry_id: as of the ledger, or of the entry where the ledger has none. mended: what was done
    about it, "" if nothing."""

    what: What
    reason: str
    job_id: str
    idx: int
    username: str
    entry_id: str = ""
    attempt: int = 0
    detail: str = ""
    seen: Mapping[str, str] = field(default_factory=dict)
    mended: str = ""
    n: int = 0

    def shown(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "account": f"{self.job_id}:{self.idx}", "username": self.username, "what": self.what,
            "reason": self.reason, "detail": self.detail, "entry_id": self.entry_id,
            "mended": self.mended,
        }  # fmt: skip


class Findings:
    """Each once, however often it is added. Close it."""

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "findings.sqlite", isolation_level=None)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(_SCHEMA)

    def add(self, one: Finding) -> None:
        values = (
            one.what, one.reason, one.job_id, one.idx, one.username, one.entry_id, one.attempt,
            one.detail, json.dumps(dict(one.seen)),
        )  # fmt: skip
        self._db.execute(_ADD, values)

    def renamed(self, job_id: str, idx: int, username: str, seen: Mapping[str, str]) -> bool:
        """What was missed is there under another name. Whether it was missed."""
        change = (f"its name is {username!r}", json.dumps(dict(seen)), job_id, idx)
        done = self._db.execute(
            "UPDATE OR IGNORE findings SET what = 'changed', reason = 'name', detail = ?, seen = ?"
            " WHERE job_id = ? AND idx = ? AND what = 'missing'",
            change,
        )
        return done.rowcount > 0

    def mended(self, one: Finding, how: str) -> None:
        self._db.execute("UPDATE findings SET mended = ? WHERE n = ?", (how, one.n))

    def counts(self) -> dict[What, int]:
        rows = self._db.execute("SELECT what, count(*) FROM findings GROUP BY what")
        return dict.fromkeys(What, 0) | {What(what): n for what, n in rows}

    def left(self) -> int:
        """Those that nothing was done about."""
        (n,) = self._db.execute("SELECT count(*) FROM findings WHERE mended = ''").fetchone()
        return int(n)

    def count(self, what: What, *reasons: str) -> int:
        """That nothing was done about yet; of these reasons, or of any."""
        where, values = _where(what, reasons)
        sql = f"SELECT count(*) FROM findings WHERE {where}"  # noqa: S608  own constants
        return int(self._db.execute(sql, values).fetchone()[0])

    def page(self, what: What, *reasons: str, after: int = 0, limit: int = 200) -> list[Finding]:
        """As `count`; by job, so that those of one come together. after: the number of a row."""
        where, values = _where(what, reasons)
        sql = f"{_SELECT} WHERE {where} AND n > ? ORDER BY n LIMIT ?"
        rows = self._db.execute(sql, (*values, after, limit)).fetchall()
        return [_finding(row) for row in rows]

    def all(self) -> Iterator[Finding]:
        return (_finding(row) for row in self._db.execute(f"{_SELECT} ORDER BY n"))

    def close(self) -> None:
        self._db.close()


def _where(what: What, reasons: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    among = f" AND reason IN ({', '.join('?' * len(reasons))})" if reasons else ""
    return f"what = ? AND mended = ''{among}", (what, *reasons)


def _finding(row: Any) -> Finding:
    what, reason, job_id, idx, username, entry_id, attempt, detail, seen, mended, n = row
    told = (What(what), reason, job_id, idx, username, entry_id, attempt, detail)
    return Finding(*told, json.loads(seen), mended, n)
