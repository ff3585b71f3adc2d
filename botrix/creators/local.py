"""The `local` directory: a SQLite database of its own, as an identity store on this host would be.

Its unique key is the user name, folded (NFKC, case-folded; RFC 8265). Passwords are kept as
argon2id with 19 MiB and two passes (OWASP, Password Storage), which allows some tens of accounts a
second and core: that is the price of a hash that is worth having.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from botrix.creators.creator import (
    FIELDS,
    Check,
    Entries,
    Entry,
    Member,
    Sighting,
    Wanted,
    Whose,
)
from botrix.creators.declared import Setting, Type, names
from botrix.creators.gate import Gate
from botrix.errors import DirectoryError
from botrix.model import Outcome, OutcomeKind

T = TypeVar("T")
SETTINGS = (
    Setting("path", "The file that holds it; made where there is none.", Type.FILE, required=True),
)
_HASHER = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
  entry_id TEXT PRIMARY KEY,
  username_key TEXT NOT NULL UNIQUE,
  username TEXT NOT NULL,
  tag TEXT NOT NULL,
  email TEXT NOT NULL,
  given_name TEXT NOT NULL,
  family_name TEXT NOT NULL,
  display_name TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  active INTEGER NOT NULL DEFAULT 1,
  created_at REAL NOT NULL,
  must_change INTEGER NOT NULL DEFAULT 0
) STRICT
"""
_MEMBERS = """
CREATE TABLE IF NOT EXISTS members (
  group_name TEXT NOT NULL,
  entry_id TEXT NOT NULL REFERENCES entries ON DELETE CASCADE,
  PRIMARY KEY (group_name, entry_id)
) STRICT, WITHOUT ROWID
"""
_JOIN = "INSERT INTO members (group_name, entry_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
SEALED: tuple[str, ...] = ()
DEMANDS_A_CHANGE = True
GATED = False
_INSERT = (
    "INSERT INTO entries (entry_id, username_key, username, tag, email, given_name, family_name,"
    " display_name, password_hash, created_at, must_change)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (username_key) DO NOTHING"
)
_SHOWN = "entry_id, username, tag, active, email, given_name, family_name, display_name"
_FIND = f"SELECT {_SHOWN} FROM entries WHERE username_key = ?"  # noqa: S608  own constants
_PAGE = 500
_OURS = (
    f"SELECT {_SHOWN} FROM entries WHERE entry_id > ? AND tag GLOB 'botrix:*'"  # noqa: S608
    f" ORDER BY entry_id LIMIT {_PAGE}"
)


async def open_creator(config: Mapping[str, Any], timeout: float, gate: Gate) -> LocalCreator:
    """config: {"path": file}. Makes the file where there is none."""
    unknown = set(config) - names(SETTINGS)
    if unknown or not isinstance(config.get("path"), str | Path):
        raise DirectoryError(
            "a local directory is configured by `path` alone; correct its settings"
        )
    creator = LocalCreator(Path(config["path"]), timeout)
    await creator.prepare()
    return creator


class LocalCreator:
    """Several processes may share the file; each batch is one transaction."""

    kind = "local"
    unique_key = "username"
    batch = 16
    concurrency = 2

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._db: sqlite3.Connection | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="local-directory")
        self._hashers = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="argon2")

    async def prepare(self) -> None:
        try:
            await self._run(_make)
        except sqlite3.Error as error:
            raise DirectoryError(
                f"the directory file {self._path} cannot be used: {error}"
            ) from error

    async def check(self) -> Check:
        n = await self._run(lambda db: db.execute("SELECT count(*) FROM entries").fetchone()[0])
        can = f"{n} entries in {self._path}", "refuses a second account of a name", "keeps groups"
        return Check(True, can)

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]:
        try:
            return await self._run(lambda db: [_sighting(db, one) for one in wanted])
        except sqlite3.Error as error:
            return [Sighting(Whose.UNSURE, detail=str(error))] * len(wanted)

    async def ours(self, after: str | None) -> Entries:
        try:
            rows = await self._run(lambda db: db.execute(_OURS, (after or "",)).fetchall())
        except sqlite3.Error as error:
            return Entries(problem=f"the entries could not be read: {error}")
        return Entries([_entry(row) for row in rows], rows[-1][0] if len(rows) == _PAGE else None)

    async def create(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]:
        loop = asyncio.get_running_loop()
        hashes = await asyncio.gather(
            *(loop.run_in_executor(self._hashers, _HASHER.hash, one.password) for one in wanted)
        )
        try:
            return await self._run(lambda db: _create(db, wanted, hashes))
        except sqlite3.Error as error:
            return [Outcome(OutcomeKind.UNKNOWN, reason="directory", detail=str(error))] * len(
                wanted
            )

    async def join(self, members: Sequence[Member]) -> Sequence[Outcome]:
        """A group is there once somebody is in it."""
        rows = [(group, one.entry_id) for one in members for group in one.groups]
        try:
            await self._run(lambda db: db.executemany(_JOIN, rows))
        except sqlite3.Error as error:
            unknown = Outcome(OutcomeKind.UNKNOWN, reason="directory", detail=str(error))
            return [unknown] * len(members)
        return [Outcome(OutcomeKind.CREATED, one.entry_id) for one in members]

    async def set_password(self, entry_id: str, password: str) -> Outcome:
        loop = asyncio.get_running_loop()
        text = await loop.run_in_executor(self._hashers, _HASHER.hash, password)
        return await self._change(
            "UPDATE entries SET password_hash = ? WHERE entry_id = ?", text, entry_id
        )

    async def disable(self, entry_id: str) -> Outcome:
        return await self._change("UPDATE entries SET active = 0 WHERE entry_id = ?", entry_id)

    async def delete(self, entry_id: str) -> Outcome:
        return await self._change("DELETE FROM entries WHERE entry_id = ?", entry_id)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writer, self._close)
        self._writer.shutdown()
        self._hashers.shutdown()

    async def _change(self, sql: str, *values: str) -> Outcome:
        """CREATED stands for done: the entry is as was asked."""
        try:
            n = await self._run(lambda db: db.execute(sql, values).rowcount)
        except sqlite3.Error as error:
            return Outcome(OutcomeKind.UNKNOWN, reason="directory", detail=str(error))
        if n == 0:
            return Outcome(OutcomeKind.REJECTED, reason="no such entry")
        return Outcome(OutcomeKind.CREATED, entry_id=values[-1])

    async def _run(self, step: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer, self._transaction, step)

    def _transaction(self, step: Callable[[sqlite3.Connection], T]) -> T:
        db = self._open()
        db.execute("BEGIN IMMEDIATE")
        try:
            answer = step(db)
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
        return answer

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            db = sqlite3.connect(self._path, isolation_level=None, timeout=self._timeout)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            self._db = db
        return self._db

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()


def _make(db: sqlite3.Connection) -> None:
    """The table, with what an earlier release did not give it yet."""
    db.execute(_SCHEMA)
    db.execute(_MEMBERS)
    if "must_change" not in {row[1] for row in db.execute("PRAGMA table_info(entries)")}:
        db.execute("ALTER TABLE entries ADD COLUMN must_change INTEGER NOT NULL DEFAULT 0")


def _create(
    db: sqlite3.Connection, wanted: Sequence[Wanted], hashes: Sequence[str]
) -> list[Outcome]:
    outcomes = []
    for one, text in zip(wanted, hashes, strict=True):
        entry_id, p = secrets.token_hex(12), one.person
        row = (
            entry_id, folded(p.username), p.username, one.tag, p.email, p.given_name,
            p.family_name, p.display_name, text, time.time(), one.must_change,
        )  # fmt: skip
        if db.execute(_INSERT, row).rowcount == 1:
            outcomes.append(Outcome(OutcomeKind.CREATED, entry_id))
        else:
            outcomes.append(Outcome(OutcomeKind.CONFLICT, reason="name taken"))
    return outcomes


def _sighting(db: sqlite3.Connection, one: Wanted) -> Sighting:
    row = db.execute(_FIND, (folded(one.person.username),)).fetchone()
    if row is None:
        return Sighting(Whose.NOBODY)
    entry = _entry(row)
    if entry.tag == one.tag:
        return entry.seen(Whose.OURS)
    return entry.seen(Whose.OTHER_JOB if entry.is_of_botrix else Whose.FOREIGN)


def _entry(row: Sequence[Any]) -> Entry:
    entry_id, username, tag, active, *said = row
    return Entry(entry_id, username, tag, dict(zip(FIELDS, said, strict=True)), bool(active))


def folded(username: str) -> str:
    """The form in which two user names are the same."""
    return unicodedata.normalize("NFKC", username).casefold()


def verify(path: Path, username: str, password: str) -> bool:
    """Whether the password logs in, as a program that uses the directory would ask."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        row = db.execute(
            "SELECT password_hash FROM entries WHERE username_key = ? AND active",
            (folded(username),),
        ).fetchone()
    try:
        return row is not None and _HASHER.verify(row[0], password)
    except (VerifyMismatchError, InvalidHashError):
        return False


def count_tags(path: Path) -> dict[str, int]:
    """How many entries bear each tag."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT tag, count(*) FROM entries GROUP BY tag"))
