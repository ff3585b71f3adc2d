"""What workers ask of a ledger on PostgreSQL about how much, and whether, a directory is used. Rows
of directories are locked in one order, and after those of jobs."""

from __future__ import annotations

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
from botrix.ledger.postgres_history import note
from botrix.ledger.postgres_rows import NOW, Db
from botrix.states import DirectoryStatus, Happening

_ENTER = """
INSERT INTO throttles (tenant_id, name, status, probe_at, state) VALUES ($1, $2, 'working', 0, '{}')
ON CONFLICT (tenant_id, name) DO NOTHING
"""
_LOCK = f"""
SELECT state, {NOW} AS now FROM throttles WHERE tenant_id = $1 AND name = $2 FOR UPDATE
"""
_READ = f"SELECT state, {NOW} AS now FROM throttles WHERE tenant_id = $1 AND name = $2"
_SAVE = """
UPDATE throttles SET status = $3, probe_at = $4, state = $5 WHERE tenant_id = $1 AND name = $2
"""
_USERS = """
SELECT u.session_id, u.demand, u.share, u.seen_at FROM throttle_users u,
LATERAL (SELECT 1 FROM sessions s WHERE s.id = u.session_id AND s.status || '' = 'live') s
WHERE u.tenant_id = $1 AND u.name = $2
"""
_SAVE_USER = """
INSERT INTO throttle_users (tenant_id, name, session_id, demand, share, seen_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, name, session_id)
DO UPDATE SET demand = excluded.demand, share = excluded.share, seen_at = excluded.seen_at
"""
_FORGET = """
DELETE FROM throttle_users WHERE tenant_id = $1 AND name = $2 AND seen_at < $3::float8
"""
_DUE_PROBE = f"""
UPDATE throttles t SET probe_at = {NOW} + $1
FROM (SELECT tenant_id, name FROM throttles WHERE status = 'paused' AND probe_at <= {NOW}
      ORDER BY probe_at LIMIT 1 FOR UPDATE SKIP LOCKED) p
WHERE t.tenant_id = p.tenant_id AND t.name = p.name
RETURNING t.tenant_id, t.name
"""
_HOLDING = "SELECT tenant_id, name, status FROM throttles WHERE holding AND status <> 'paused'"
RELEASE = f"""
UPDATE jobs j SET held = false, due_at = coalesce(j.due_at, {NOW})
FROM (SELECT id FROM jobs WHERE tenant_id = $1 AND directory = $2 AND held
      ORDER BY created_at LIMIT $3 FOR UPDATE SKIP LOCKED) h
WHERE j.id = h.id RETURNING j.id
"""
_RELEASED = "UPDATE throttles SET holding = false WHERE tenant_id = $1 AND name = $2"
_NOT_HELD = """
SELECT j.id FROM unnest($1::text[]) u (id),
LATERAL (SELECT j.id FROM jobs j WHERE j.id = u.id AND NOT j.held) j
"""
_HOLD = """
UPDATE jobs j SET place = NULL, due_at = NULL, held = true
FROM (SELECT id FROM unnest($1::text[]) u (id) ORDER BY id) u WHERE j.id = u.id
"""
_NOTE_HELD = """
UPDATE throttles SET holding = true WHERE tenant_id = $1 AND name = $2 AND NOT holding
"""


async def govern(db: Db, session: str, reports: Sequence[Report]) -> list[Allowance]:
    found = {}
    for report in sorted(reports, key=lambda one: (one.tenant_id, one.name)):
        found[report.tenant_id, report.name] = await _govern(db, session, report)
    return [found[report.tenant_id, report.name] for report in reports]


async def _govern(db: Db, session: str, report: Report) -> Allowance:
    key = (report.tenant_id, report.name)
    await db.execute(_ENTER, *key)
    row, now = await _locked(db, *key) or (Governed(), 0.0)
    users = await _users(db, *key)
    row, user, allowance = governed(row, users, session, report, now)
    await _save(db, *key, row)
    await db.execute(_SAVE_USER, *key, session, user.demand, user.share, now)
    await db.execute(_FORGET, *key, now - 6 * PRESENT)
    return allowance


async def due_probe(db: Db) -> tuple[str, str] | None:
    row = await db.fetchrow(_DUE_PROBE, PROBING)
    return (row["tenant_id"], row["name"]) if row else None


async def probed(db: Db, tenant_id: str, name: str, problem: str, patience: float) -> None:
    found = await _locked(db, tenant_id, name)
    if found is not None:
        row, now = found
        await _save(db, tenant_id, name, after_probe(row, problem, now, patience))


async def release(db: Db, limit: int) -> bool:
    more = False
    for one in await db.fetch(_HOLDING):
        key = (one["tenant_id"], one["name"])
        most = 1 if one["status"] == DirectoryStatus.TRYING else limit
        released = [row["id"] for row in await db.fetch(RELEASE, *key, most)]
        await note(db, [Note(job, None, Happening.RELEASED) for job in released])
        if len(released) < most:
            await db.execute(_RELEASED, *key)
        more = more or (len(released) == most == limit)
    return more


async def hold(db: Db, jobs: Sequence[tuple[str, str, str]]) -> None:
    """(id, tenant, directory) of jobs, locked already, whose directory is paused: they lose their
    place."""
    if not jobs:
        return
    held = [job for job, _, _ in jobs]
    fresh = await db.fetch(_NOT_HELD, held)
    await note(db, [Note(row["id"], None, Happening.HELD, detail=PAUSED) for row in fresh])
    await db.execute(_HOLD, held)
    for tenant, name in sorted({(tenant, name) for _, tenant, name in jobs}):
        await db.execute(_NOTE_HELD, tenant, name)


async def standing(db: Db, tenant_id: str, name: str) -> Standing | None:
    row = await db.fetchrow(_READ, tenant_id, name)
    if row is None:
        return None
    users = await _users(db, tenant_id, name)
    now = row["now"]
    present = {one: user for one, user in users.items() if now - user.seen_at < PRESENT}
    return Standing(msgspec.json.decode(row["state"], type=Governed), now, present)


async def _locked(db: Db, tenant_id: str, name: str) -> tuple[Governed, float] | None:
    row = await db.fetchrow(_LOCK, tenant_id, name)
    return (msgspec.json.decode(row["state"], type=Governed), row["now"]) if row else None


async def _users(db: Db, tenant_id: str, name: str) -> dict[str, User]:
    rows = await db.fetch(_USERS, tenant_id, name)
    return {row["session_id"]: User(row["demand"], row["share"], row["seen_at"]) for row in rows}


async def _save(db: Db, tenant_id: str, name: str, row: Governed) -> None:
    mood = row.mood
    state = msgspec.json.encode(row).decode()
    await db.execute(_SAVE, tenant_id, name, mood.status.value, mood.probe_at, state)
