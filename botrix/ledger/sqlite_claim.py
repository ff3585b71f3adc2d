"""The claim on SQLite: entries become leased accounts, everything decided before the first call."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from botrix.extra import packed
from botrix.ledger.ledger import Asked, Claim, Plan, Room, Ruling, Verdict
from botrix.ledger.notes import Note
from botrix.ledger.slices import (
    ACCOUNT_COLUMNS,
    CLAIMABLE,
    JOB,
    LOOSE,
    LOOSE_COLUMNS,
    NOT_AWAY,
    QUIET,
    SUSPECTED,
    WITHIN,
    JobRow,
    Move,
    Slices,
    known_raw,
    leased,
    raw_fault,
)
from botrix.ledger.sqlite_governing import hold
from botrix.ledger.sqlite_history import note
from botrix.ledger.sqlite_rows import as_json, read, write
from botrix.ledger.sqlite_sessions import require_live
from botrix.ledger.sqlite_verbs import INSERT_JOBS, JOB_ROW, job_row, job_rows, next_places
from botrix.model import LeasedAccount, NewJob
from botrix.states import Happening

_DIRECTORIES = (
    "SELECT d.tenant_id, d.name, t.accounts_per_job FROM directories d"
    " LEFT JOIN tenants t ON t.id = d.tenant_id"
)
_DUE = (
    f"SELECT {ACCOUNT_COLUMNS} FROM accounts a JOIN jobs j ON j.id = a.job_id WHERE a.job_id = ?"
    f" AND {CLAIMABLE} AND {WITHIN} AND a.not_before <= ?"
    " AND (j.status <> 'cancelling' OR a.status = 'unsure') ORDER BY a.not_before, a.idx LIMIT ?"
)
_WALK = (
    f"SELECT json_group_array(json_array({LOOSE_COLUMNS})) FROM accounts a WHERE a.job_id = ?"
    f" AND a.idx BETWEEN ? AND ? AND +a.not_before BETWEEN ? AND 0 AND {LOOSE}"
)
_HELD = (
    f"SELECT {ACCOUNT_COLUMNS} FROM accounts a JOIN jobs j ON j.id = a.job_id"
    " WHERE a.session_id = ?"
)
_OPEN_FROM = (
    "SELECT min(a.not_before) FROM accounts a JOIN jobs j ON j.id = a.job_id"
    f" WHERE a.job_id = ? AND {CLAIMABLE} AND {WITHIN}"
)
_SUSPECT = (
    f"SELECT {ACCOUNT_COLUMNS} FROM accounts a JOIN jobs j ON j.id = a.job_id"
    f" WHERE {SUSPECTED} AND a.not_before <= ? AND j.status IN ('running', 'cancelling')"
    f" AND (NOT j.paused OR j.status = 'cancelling') AND {NOT_AWAY} ORDER BY a.not_before LIMIT 1"
)
_LEASE = (
    "UPDATE accounts SET status = 'leased', session_id = ?1, last_session = ?1,"
    " attempt = attempt + 1, updated_at = ?2 WHERE job_id = ?3 AND idx = ?4"
)
_INSERT = (
    "INSERT INTO accounts (session_id, last_session, updated_at, status, attempt, job_id, idx,"
    " tenant_id, username, email, given_name, family_name, display_name, extra, sealed) VALUES {}"
)
_NEW = "(?1, ?1, ?2, 'leased', 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_MOVE = (
    "UPDATE jobs SET status = CASE status WHEN 'pending' THEN 'running' ELSE status END,"
    " next_index = m.next_index, walked = coalesce(m.walked, jobs.walked), place = m.place,"
    " due_at = m.due_at, updated_at = m.now"
    " FROM (WITH m (id, next_index, walked, place, due_at, now) AS (VALUES {}) SELECT * FROM m) m"
    " WHERE jobs.id = m.id"
)
_MOVE_WHOLE = (
    "UPDATE jobs SET status = CASE status WHEN 'pending' THEN 'running' ELSE status END,"
    " next_index = count, place = NULL, due_at = NULL, updated_at = ?"
    " WHERE id IN (SELECT value FROM json_each(?))"
)
"""Likewise, of jobs that are handed out whole: without a row of values for each, which SQLite would
keep in a table of their own."""


def claim(
    db: sqlite3.Connection,
    session: str,
    asked: Sequence[Asked],
    room: Room,
    plan: Plan,
    now: float,
) -> Claim:
    """Rules on each entry in order, and leases accounts to the session as far as there is room."""
    require_live(db, session)
    refused = _enter_raw(db, [one.raw for one in asked if one.raw is not None], now)
    rows = job_rows(db, [one.id for one in asked], JOB)
    slices = Slices(room, plan)
    for one in asked:
        row = rows.get(one.id)
        if one.id in refused:
            slices.refuse(refused[one.id])
        elif row is None:
            slices.refuse(Ruling(one.id, Verdict.STALE))
        else:
            slices.rule(one, row, _due(db, row, slices, now))
    _write(db, session, slices, now)
    hold(db, slices.held, now)
    return slices.placed(_move(db, slices.moves, now))


def held(db: sqlite3.Connection, session: str) -> list[LeasedAccount]:
    """What is leased to a session; each must be looked for first, its claim's answer was lost."""
    return [leased(row, bump=0) for row in db.execute(_HELD, (session,))]


def suspects(db: sqlite3.Connection, now: float) -> bool:
    return db.execute(_SUSPECT, (now,)).fetchone() is not None


def claim_suspect(db: sqlite3.Connection, session: str, now: float) -> LeasedAccount | None:
    """One account whose session was lost twice, if this session holds nothing else."""
    require_live(db, session)
    if db.execute("SELECT 1 FROM accounts WHERE session_id = ? LIMIT 1", (session,)).fetchone():
        return None
    row = db.execute(_SUSPECT, (now,)).fetchone()
    if row is None:
        return None
    account = leased(row, bump=1)
    _lease(db, session, [account], now)
    return account


def _lease(
    db: sqlite3.Connection, session: str, again: Sequence[LeasedAccount], now: float
) -> None:
    """Accounts of which a row is there already."""
    db.executemany(_LEASE, [(session, now, a.job_id, a.index) for a in again])
    later = [a for a in again if a.attempt > 1 and a.find_first]
    note(db, [Note(*a.key, Happening.LEASED, a.attempt, session) for a in later], now)


def _enter_raw(db: sqlite3.Connection, raw: Sequence[NewJob], now: float) -> dict[str, Ruling]:
    """Inserts raw jobs not seen before; rulings on those that cannot be used, or are known."""
    if not raw:
        return {}
    known = job_rows(db, [job.id for job in raw])
    directories = {(tenant, name): most for tenant, name, most in db.execute(_DIRECTORIES)}
    refused = {}
    for job in raw:
        fault = raw_fault(job, directories)
        if job.id in known or fault is not None:
            refused[job.id] = known_raw(job, known.get(job.id), fault)
        else:
            write(db, INSERT_JOBS, JOB_ROW, [job_row(job, None, now)])
    return refused


def _due(db: sqlite3.Connection, row: JobRow, slices: Slices, now: float) -> deque[Any]:
    """Accounts that may be claimed again; a job of which nothing was claimed has none yet. Of one
    that walks, those that come next."""
    if row.next_index == 0 and not row.walks:
        return deque()
    limit = slices.room_for(row)
    if limit <= 0:
        return deque()
    if row.walks:
        last = row.walked + limit - 1
        found = read(db, _WALK, (row.id, row.walked, last, -row.look), list[tuple[Any, ...]])
        return deque(found)
    return deque(db.execute(_DUE, (row.id, now, limit)))


def _write(db: sqlite3.Connection, session: str, slices: Slices, now: float) -> None:
    _lease(db, session, slices.again, now)
    new = [
        (
            p.job_id, p.index, tenant, p.person.username, p.person.email, p.person.given_name,
            p.person.family_name, p.person.display_name, packed(p.person), p.sealed,
        )
        for tenant, p in slices.new
    ]  # fmt: skip
    write(db, _INSERT, _NEW, new, before=(session, now))


def _move(db: sqlite3.Connection, moves: Sequence[Move], now: float) -> dict[str, int | None]:
    """Gives each job a new place where work is left now, else the time at which some will be.
    One that is being cancelled waits for the dispatcher, who sweeps before it places."""
    whole = [m.id for m in moves if m.whole]
    moves = [m for m in moves if not m.whole]
    opens = {m.id: db.execute(_OPEN_FROM, (m.id,)).fetchone()[0] for m in moves if m.touched}
    stay = [m.id for m in moves if not m.cancelling and (m.left or _past(opens.get(m.id), now))]
    places = dict(zip(stay, next_places(db, len(stay)), strict=True))
    rows = [
        (
            m.id,
            m.next_index,
            m.walked,
            places.get(m.id),
            None if m.id in places else _due_at(m, opens, now),
            now,
        )
        for m in moves
    ]
    write(db, _MOVE, "(?, ?, ?, ?, ?, ?)", rows)
    if whole:
        db.execute(_MOVE_WHOLE, (now, as_json(whole)))
    return dict(places)


def _due_at(move: Move, opens: Mapping[str, float | None], now: float) -> float | None:
    return now + QUIET if move.walked is not None else opens.get(move.id)


def _past(time: float | None, now: float) -> bool:
    return time is not None and time <= now
