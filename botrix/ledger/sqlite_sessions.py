"""The life of a session on SQLite: begun, renewed, watched by its peers, lost or ended."""

from __future__ import annotations

import sqlite3

from botrix.errors import SessionLost
from botrix.ledger.ledger import PeerBeat
from botrix.states import Duty, duty_of


def require_live(db: sqlite3.Connection, session: str) -> None:
    row = db.execute("SELECT status FROM sessions WHERE id = ?", (session,)).fetchone()
    if row is None or row[0] != "live":
        raise SessionLost(f"session {session} was declared lost; the worker starts a new one")


def open_session(
    db: sqlite3.Connection, row: tuple[str, str, str, int, str, str], now: float
) -> None:
    db.execute(
        "INSERT INTO sessions (id, worker_id, host, pid, version, wanted, started_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*row, now),
    )


def renew(db: sqlite3.Connection, session: str) -> Duty | None:
    raised = "UPDATE sessions SET beat = beat + 1 WHERE id = ? AND status = 'live' RETURNING wanted"
    row = db.execute(raised, (session,)).fetchone()
    if row is None:
        raise SessionLost(f"session {session} was declared lost; the worker starts a new one")
    return duty_of(row[0])


def end_session(db: sqlite3.Connection, session: str, now: float) -> None:
    db.execute(
        "UPDATE sessions SET status = 'ended', ended_at = ? WHERE id = ? AND status = 'live'",
        (now, session),
    )


def peers(db: sqlite3.Connection) -> list[PeerBeat]:
    rows = db.execute("SELECT id, worker_id, host, pid, beat FROM sessions WHERE status = 'live'")
    return [PeerBeat(*row) for row in rows]


def mark_lost(db: sqlite3.Connection, session: str, seen_beat: int | None, now: float) -> bool:
    cursor = db.execute(
        "UPDATE sessions SET status = 'lost', ended_at = :now WHERE id = :id AND status = 'live'"
        " AND (:beat IS NULL OR beat = :beat)",
        {"now": now, "id": session, "beat": seen_beat},
    )
    return cursor.rowcount == 1


def lost_sessions(db: sqlite3.Connection, now: float) -> list[str]:
    rows = db.execute(
        "SELECT id FROM sessions WHERE status IN ('lost', 'ended') AND ended_at > ?",
        (now - 86400.0,),
    )
    return [row[0] for row in rows]
