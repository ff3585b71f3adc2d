"""The claim on SQLite: entries become leased accounts, everything decided before the first call."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from botrix.ledger.ledger import Asked, Claim, Plan, Ruling, Verdict
from botrix.ledger.sqlite_verbs import INSERT_JOB, JOB, job_row, job_state, next_place, require_live
from botrix.model import (
    SLICE,
    JobStatus,
    Lane,
    LeasedAccount,
    NewJob,
    Person,
    PlannedAccount,
    Source,
)

_JOB = "SELECT " + JOB + ", place, template, tries, next_index, source FROM jobs WHERE id = ?"
_ACCOUNT = (
    "a.tenant_id, j.directory, a.job_id, a.idx, a.attempt, a.username, a.email, a.given_name,"
    " a.family_name, a.display_name, a.sealed, j.tries, a.tries, a.status, j.status,"
    " j.source <> 'import' AND coalesce(j.template, '{random}') LIKE '%{random}%'"
)
_DUE = (
    f"SELECT {_ACCOUNT} FROM accounts a JOIN jobs j ON j.id = a.job_id WHERE a.job_id = ?"
    " AND a.status IN ('planned', 'unsure') AND a.not_before <= ?"
    " AND (j.status <> 'cancelling' OR a.status = 'unsure') ORDER BY a.not_before, a.idx LIMIT ?"
)
_OPEN_FROM = (
    "SELECT min(not_before) FROM accounts WHERE job_id = ? AND status IN ('planned', 'unsure')"
)
_LEASE = (
    "UPDATE accounts SET status = 'leased', session_id = ?, attempt = attempt + 1, updated_at = ?"
    " WHERE job_id = ? AND idx = ?"
)
_INSERT = (
    "INSERT INTO accounts (job_id, idx, tenant_id, status, username, email, given_name,"
    " family_name, display_name, sealed, session_id, attempt, updated_at)"
    " VALUES (?, ?, ?, 'leased', ?, ?, ?, ?, ?, ?, ?, 1, ?)"
)
_MOVE = (
    "UPDATE jobs SET status = CASE status WHEN 'pending' THEN 'running' ELSE status END,"
    " next_index = ?, place = ?, due_at = ?, updated_at = ? WHERE id = ?"
)


def claim(
    db: sqlite3.Connection,
    session: str,
    asked: Sequence[Asked],
    room: int,
    plan: Plan,
    now: float,
) -> Claim:
    """Rules on each entry in order, and leases at most `room` accounts to the session."""
    require_live(db, session)
    got = Claim()
    for entry in asked:
        got.rulings.append(_rule(db, session, entry, room - len(got.accounts), plan, now, got))
    return got


def held(db: sqlite3.Connection, session: str) -> list[LeasedAccount]:
    """What is leased to a session; each must be looked for first, its claim's answer was lost."""
    rows = db.execute(
        f"SELECT {_ACCOUNT} FROM accounts a JOIN jobs j ON j.id = a.job_id WHERE a.session_id = ?",
        (session,),
    )
    return [replace(_leased(row, bump=0), find_first=True) for row in rows]


def _rule(
    db: sqlite3.Connection,
    session: str,
    entry: Asked,
    room: int,
    plan: Plan,
    now: float,
    got: Claim,
) -> Ruling:
    row = db.execute(_JOB, (entry.id,)).fetchone()
    if entry.raw is not None:
        if row is not None:
            return _known_raw(entry.raw, row)
        refused = _insert_raw(db, entry.raw, now)
        if refused is not None:
            return refused
        row = db.execute(_JOB, (entry.id,)).fetchone()
    elif row is None or row["place"] != entry.place:
        return Ruling(entry.id, Verdict.STALE)
    lane = Lane(row["lane"])
    if room <= 0 and entry.raw is None:
        return Ruling(entry.id, Verdict.OVER, lane=lane)
    accounts, next_index = _slice(db, session, row, min(SLICE, max(room, 0)), plan, now)
    back = _move(db, row, next_index, now)
    got.accounts.extend(accounts)
    if row["status"] == JobStatus.PENDING:
        got.started.append(replace(job_state(row), status=JobStatus.RUNNING))
    return Ruling(entry.id, Verdict.TAKEN, back=back, lane=lane)


def _known_raw(raw: NewJob, row: sqlite3.Row) -> Ruling:
    same = (row["source"], row["count"], row["directory"], row["template"])
    if same == (Source.RAW, raw.count, raw.directory, raw.template):
        return Ruling(raw.id, Verdict.STALE)
    return Ruling(raw.id, Verdict.REJECTED, reason="the id belongs to another job; choose a new id")


def _insert_raw(db: sqlite3.Connection, raw: NewJob, now: float) -> Ruling | None:
    known = db.execute(
        "SELECT 1 FROM directories WHERE tenant_id = ? AND name = ?",
        (raw.tenant_id, raw.directory),
    ).fetchone()
    if known is None:
        reason = f"there is no directory {raw.directory!r}; see: botrix directory list"
        return Ruling(raw.id, Verdict.REJECTED, reason=reason)
    db.execute(INSERT_JOB, job_row(raw, None, now))
    return None


def _slice(
    db: sqlite3.Connection, session: str, row: sqlite3.Row, limit: int, plan: Plan, now: float
) -> tuple[list[LeasedAccount], int]:
    """Accounts that are due again first, then new ones at the cursor."""
    accounts = [] if _untouched(row) else _lease_due(db, session, row["id"], limit, now)
    first, end = row["next_index"], row["next_index"]
    if row["status"] != JobStatus.CANCELLING:
        end = min(row["count"], first + limit - len(accounts))
    if end > first:
        new = plan(row["tenant_id"], row["id"], row["template"], range(first, end))
        db.executemany(_INSERT, _rows(new, row["tenant_id"], session, now))
        accounts.extend(
            LeasedAccount(
                row["tenant_id"],
                row["directory"],
                p.job_id,
                p.index,
                1,
                p.person,
                p.sealed,
                tries_left=row["tries"],
                unguessable="{random}" in (row["template"] or "{random}"),
            )
            for p in new
        )
    return accounts, end


def _lease_due(
    db: sqlite3.Connection, session: str, job_id: str, limit: int, now: float
) -> list[LeasedAccount]:
    rows = db.execute(_DUE, (job_id, now, limit)).fetchall()
    db.executemany(_LEASE, [(session, now, r["job_id"], r["idx"]) for r in rows])
    return [_leased(row, bump=1) for row in rows]


def _move(db: sqlite3.Connection, row: sqlite3.Row, next_index: int, now: float) -> int | None:
    """Gives the job a new place where work is left now, else the time at which some will be.
    One that is being cancelled waits for the dispatcher, who sweeps before it places."""
    opens = None if _untouched(row) else db.execute(_OPEN_FROM, (row["id"],)).fetchone()[0]
    left = next_index < row["count"] or (opens is not None and opens <= now)
    place = next_place(db) if left and row["status"] != JobStatus.CANCELLING else None
    due_at = opens if place is None else None
    db.execute(_MOVE, (next_index, place, due_at, now, row["id"]))
    return place


def _untouched(row: sqlite3.Row) -> bool:
    """A generated job of which nothing was claimed has no account yet."""
    return bool(row["next_index"] == 0)


def _rows(
    new: Iterable[PlannedAccount], tenant_id: str, session: str, now: float
) -> list[tuple[Any, ...]]:
    return [
        (
            p.job_id, p.index, tenant_id, p.person.username, p.person.email, p.person.given_name,
            p.person.family_name, p.person.display_name, p.sealed, session, now,
        )
        for p in new
    ]  # fmt: skip


def _leased(row: sqlite3.Row, bump: int) -> LeasedAccount:
    tenant, directory, job, idx, attempt, *person, sealed, tries, used, was, status, unguessable = (
        row
    )
    return LeasedAccount(
        tenant, directory, job, idx, attempt + bump, Person(*person), sealed,
        tries_left=tries - used, tries_used=used, find_first=was == "unsure",
        find_only=status == JobStatus.CANCELLING, unguessable=bool(unguessable),
    )  # fmt: skip
