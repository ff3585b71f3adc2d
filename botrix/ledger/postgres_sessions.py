"""The life of a session on PostgreSQL: begun, renewed, watched by its peers, lost or ended."""

from __future__ import annotations

from botrix.ledger.ledger import PeerBeat
from botrix.ledger.postgres_rows import NOW, Db, lost
from botrix.states import Duty, duty_of


async def open_session(db: Db, row: tuple[str, str, str, int, str, str]) -> None:
    await db.execute(
        "INSERT INTO sessions (id, worker_id, host, pid, version, wanted, started_at)"
        f" VALUES ($1, $2, $3, $4, $5, $6, {NOW}) ON CONFLICT DO NOTHING",
        *row,
    )


async def renew(db: Db, session: str) -> Duty | None:
    row = await db.fetchrow(
        "UPDATE sessions SET beat = beat + 1 WHERE id = $1 AND status || '' = 'live'"
        " RETURNING wanted",
        session,
    )
    if row is None:
        raise lost(session)
    return duty_of(row["wanted"])


async def end_session(db: Db, session: str) -> None:
    await db.execute(
        f"UPDATE sessions SET status = 'ended', ended_at = {NOW}"
        " WHERE id = $1 AND status || '' = 'live'",
        session,
    )


async def peers(db: Db) -> list[PeerBeat]:
    rows = await db.fetch(
        "SELECT id, worker_id, host, pid, beat FROM sessions WHERE status = 'live'"
    )
    return [PeerBeat(*row) for row in rows]


async def mark_lost(db: Db, session: str, seen_beat: int | None) -> bool:
    done = await db.execute(
        f"UPDATE sessions SET status = 'lost', ended_at = {NOW} WHERE id = $1"
        " AND status || '' = 'live' AND ($2::bigint IS NULL OR beat = $2)",
        session,
        seen_beat,
    )
    return done == "UPDATE 1"


async def lost_sessions(db: Db) -> list[str]:
    rows = await db.fetch(
        f"SELECT id FROM sessions WHERE status IN ('lost', 'ended') AND ended_at > {NOW} - 86400"
    )
    return [row["id"] for row in rows]
