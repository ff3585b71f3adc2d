"""What workers ask of a ledger on SQLite about how much, and whether, a directory is used."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from botrix.ledger.governing import (
    PAUSED,
    PRESENT,
    PROBING,
    Allowance,
    Governed,
    Report,
    Standing,
    User,
)
from botrix.ledger.governing import (
    govern as governed,
)
from botrix.ledger.governing import (
    probed as after_probe,
)
from botrix.ledger.notes import Note
from botrix.ledger.sqlite_history import note
from botrix.states import DirectoryStatus, Happening

_ROW = "SELECT state FROM throttles WHERE tenant_id = ? AND name = ?"
_SAVE = (
    "INSERT INTO throttles (tenant_id, name, status, probe_at, state) VALUES (?1, ?2, ?3, ?4, ?5)"
    " ON CONFLICT (tenant_id, name) DO UPDATE SET status = ?3, probe_at = ?4, state = ?5"
)
_USERS = (
    "SELECT u.session_id, u.demand, u.share, u.seen_at FROM throttle_users u"
    " JOIN sessions s ON s.id = u.session_id AND s.status = 'live'"
    " WHERE u.tenant_id = ? AND u.name = ?"
)
_SAVE_USER = (
    "INSERT INTO throttle_users (tenant_id, name, session_id, demand, share, seen_at)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (tenant_id, name, session_id)"
    " DO UPDATE SET demand = ?4, share = ?5, seen_at = ?6"
)
_HOLDING = "SELECT tenant_id, name, status FROM throttles WHERE holding AND status <> 'paused'"
_HELD = (
    "SELECT id FROM jobs WHERE tenant_id = ? AND directory = ? AND held ORDER BY created_at LIMIT ?"
)
_NOT_HELD = "SELECT 1 FROM jobs WHERE id = ? AND NOT held"
_RELEASE = "UPDATE jobs SET held = 0, due_at = coalesce(due_at, ?) WHERE id = ?"


def govern(
    db: sqlite3.Connection, session: str, reports: Sequence[Report], now: float
) -> list[Allowance]:
    return [_govern(db, session, report, now) for report in reports]


def _govern(db: sqlite3.Connection, session: str, report: Report, now: float) -> Allowance:
    key = (report.tenant_id, report.name)
    row, user, allowance = governed(
        _row(db, *key) or Governed(), _users(db, *key), session, report, now
    )
    _save(db, *key, row)
    db.execute(_SAVE_USER, (*key, session, user.demand, user.share, now))
    db.execute(
        "DELETE FROM throttle_users WHERE tenant_id = ? AND name = ? AND seen_at < ?",
        (*key, now - 6 * PRESENT),
    )
    return allowance


def any_probe_due(db: sqlite3.Connection, now: float) -> bool:
    """Asked before, since a look needs no turn at writing."""
    due = db.execute("SELECT 1 FROM throttles WHERE status = 'paused' AND probe_at <= ?", (now,))
    return due.fetchone() is not None


def to_release(db: sqlite3.Connection) -> bool:
    """Likewise."""
    return db.execute(_HOLDING).fetchone() is not None


def due_probe(db: sqlite3.Connection, now: float) -> tuple[str, str] | None:
    row = db.execute(
        "UPDATE throttles SET probe_at = ? WHERE (tenant_id, name) IN (SELECT tenant_id, name"
        " FROM throttles WHERE status = 'paused' AND probe_at <= ? ORDER BY probe_at LIMIT 1)"
        " RETURNING tenant_id, name",
        (now + PROBING, now),
    ).fetchone()
    return tuple(row) if row else None


def probed(
    db: sqlite3.Connection, tenant_id: str, name: str, problem: str, patience: float, now: float
) -> None:
    row = _row(db, tenant_id, name)
    if row is not None:
        _save(db, tenant_id, name, after_probe(row, problem, now, patience))


def release(db: sqlite3.Connection, limit: int, now: float) -> bool:
    more = False
    for tenant, name, status in db.execute(_HOLDING).fetchall():
        most = 1 if status == DirectoryStatus.TRYING else limit
        jobs = [row[0] for row in db.execute(_HELD, (tenant, name, most))]
        db.executemany(_RELEASE, [(now, job) for job in jobs])
        note(db, [Note(job, None, Happening.RELEASED) for job in jobs], now)
        if len(jobs) < most:
            db.execute(
                "UPDATE throttles SET holding = 0 WHERE tenant_id = ? AND name = ?", (tenant, name)
            )
        more = more or (len(jobs) == most == limit)
    return more


def hold(db: sqlite3.Connection, jobs: Sequence[tuple[str, str, str]], now: float) -> None:
    """(id, tenant, directory) of jobs whose directory is paused: they lose their place."""
    fresh = [job for job, _, _ in jobs if db.execute(_NOT_HELD, (job,)).fetchone()]
    note(db, [Note(job, None, Happening.HELD, detail=PAUSED) for job in fresh], now)
    db.executemany(
        "UPDATE jobs SET place = NULL, due_at = NULL, held = 1 WHERE id = ?",
        [(job,) for job, _, _ in jobs],
    )
    db.executemany(
        "UPDATE throttles SET holding = 1 WHERE tenant_id = ? AND name = ? AND NOT holding",
        sorted({(tenant, name) for _, tenant, name in jobs}),
    )


def standing(db: sqlite3.Connection, tenant_id: str, name: str, now: float) -> Standing | None:
    row = _row(db, tenant_id, name)
    if row is None:
        return None
    users = _users(db, tenant_id, name)
    present = {one: user for one, user in users.items() if now - user.seen_at < PRESENT}
    return Standing(row, now, present)


def _row(db: sqlite3.Connection, tenant_id: str, name: str) -> Governed | None:
    row = db.execute(_ROW, (tenant_id, name)).fetchone()
    return msgspec.json.decode(row[0], type=Governed) if row else None


def _users(db: sqlite3.Connection, tenant_id: str, name: str) -> dict[str, User]:
    return {one[0]: User(*one[1:]) for one in db.execute(_USERS, (tenant_id, name))}


def _save(db: sqlite3.Connection, tenant_id: str, name: str, row: Governed) -> None:
    mood = row.mood
    db.execute(
        _SAVE, (tenant_id, name, mood.status, mood.probe_at, msgspec.json.encode(row).decode())
    )
