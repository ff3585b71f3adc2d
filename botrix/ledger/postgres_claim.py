"""The claim on PostgreSQL: entries become leased accounts, all decided before the first call.

One transaction of few statements, whatever the number of entries. Jobs are locked in id order and
those that another worker holds are skipped (their entries are pushed back, not dropped).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any

from botrix.extra import packed
from botrix.ledger.ledger import Asked, Claim, Plan, Room, Ruling, Verdict
from botrix.ledger.notes import Note
from botrix.ledger.postgres_governing import hold
from botrix.ledger.postgres_history import note
from botrix.ledger.postgres_rows import NOW, Db, lost
from botrix.ledger.postgres_verbs import INSERT_JOBS, job_columns
from botrix.ledger.slices import (
    ACCOUNT_COLUMNS,
    CLAIMABLE,
    END,
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
from botrix.model import SLICE, LeasedAccount, NewJob, PlannedAccount
from botrix.states import Happening

LIVE = "SELECT status FROM sessions WHERE id = $1 FOR SHARE"
_DIRECTORIES = """
SELECT DISTINCT u.tenant_id, u.name,
  (SELECT t.accounts_per_job FROM tenants t WHERE t.id = u.tenant_id) AS most
FROM unnest($1::text[], $2::text[]) u (tenant_id, name),
LATERAL (SELECT 1 FROM directories d WHERE d.tenant_id = u.tenant_id AND d.name = u.name) d
"""
LOCK = f"""
SELECT j.* FROM (SELECT DISTINCT id FROM unnest($1::text[]) u (id) ORDER BY id) u, LATERAL (
  SELECT {JOB} FROM jobs j
  WHERE j.id = u.id FOR UPDATE SKIP LOCKED) j
"""
LOCK_ALL = f"""
SELECT j.* FROM (SELECT DISTINCT id FROM unnest($1::text[]) u (id) ORDER BY id) u, LATERAL (
  SELECT {JOB} FROM jobs j WHERE j.id = u.id FOR UPDATE) j
"""
_PRESENT = f"""
SELECT j.* FROM unnest($1::text[]) u (id), LATERAL (
  SELECT {JOB} FROM jobs j WHERE j.id = u.id) j
"""
OPEN_ACCOUNTS = f"""
SELECT a.* FROM unnest($1::text[]) WITH ORDINALITY u (id, n), LATERAL (
  SELECT {ACCOUNT_COLUMNS} FROM jobs j, accounts a WHERE j.id = u.id AND a.job_id = u.id
    AND {CLAIMABLE} AND {WITHIN} AND a.not_before <= {NOW}
    AND (j.status || '' <> 'cancelling' OR a.status = 'unsure')
  ORDER BY a.not_before, a.idx LIMIT {SLICE}) a
ORDER BY u.n LIMIT $2
"""
WALK = f"""
SELECT a.job_id, {LOOSE_COLUMNS} FROM unnest($1::text[], $2::int[], $3::int[])
  u (job_id, next, look), LATERAL (
  SELECT * FROM accounts a
  WHERE a.job_id = u.job_id AND a.idx BETWEEN u.next AND u.next + {SLICE} - 1
    AND a.not_before + 0 BETWEEN -u.look AND 0 AND {LOOSE}
  ORDER BY a.idx LIMIT {SLICE}) a
ORDER BY a.job_id, a.idx
"""
LEASE = f"""
UPDATE accounts a SET status = 'leased', session_id = $1, last_session = $1,
  attempt = a.attempt + 1, updated_at = {NOW}
FROM unnest($2::text[], $3::int[]) u (job_id, idx)
WHERE a.job_id = u.job_id AND a.idx = u.idx
"""
_INSERT = f"""
INSERT INTO accounts (job_id, idx, tenant_id, status, username, email, given_name, family_name,
                      display_name, sealed, extra, session_id, last_session, attempt, updated_at)
SELECT u.job_id, u.idx, u.tenant_id, 'leased', u.username, u.email, u.given_name, u.family_name,
       u.display_name, u.sealed, u.extra, $1, $1, 1, {NOW}
FROM unnest($2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::bytea[], $11::text[])
     u (job_id, idx, tenant_id, username, email, given_name, family_name, display_name, sealed,
        extra)
"""
_LEFT = f"u.next_index < {END} OR u.walked < j.count OR o.opens <= {NOW}"
MOVE = f"""
UPDATE jobs j SET next_index = u.next_index, walked = coalesce(u.walked, j.walked),
  updated_at = {NOW},
  status = CASE j.status WHEN 'pending' THEN 'running' ELSE j.status END,
  place = CASE WHEN j.status = 'cancelling' THEN NULL
               WHEN {_LEFT} THEN nextval('place_sequence') END,
  due_at = CASE WHEN j.status <> 'cancelling' AND ({_LEFT})
                THEN NULL WHEN u.walked IS NOT NULL THEN {NOW} + {QUIET} ELSE o.opens END
FROM unnest($1::text[], $2::int[], $3::bool[], $4::int[]) u (id, next_index, touched, walked)
CROSS JOIN LATERAL (
  SELECT CASE WHEN u.touched THEN (
    SELECT a.not_before FROM accounts a, LATERAL (SELECT * FROM jobs j WHERE j.id = u.id) j
    WHERE a.job_id = u.id AND {CLAIMABLE} AND {WITHIN}
    ORDER BY a.not_before, a.idx LIMIT 1) END AS opens) o
WHERE j.id = u.id
RETURNING j.id, j.place
"""
HELD = f"""
SELECT {ACCOUNT_COLUMNS} FROM accounts a, LATERAL (SELECT * FROM jobs j WHERE j.id = a.job_id) j
WHERE a.session_id = $1
"""
SUSPECT = f"""
SELECT a.job_id, a.idx FROM accounts a,
LATERAL (SELECT * FROM jobs j WHERE j.id = a.job_id) j
WHERE {SUSPECTED} AND a.not_before <= {NOW} AND j.status || '' IN ('running', 'cancelling')
  AND (NOT j.paused OR j.status || '' = 'cancelling') AND {NOT_AWAY} ORDER BY a.not_before LIMIT 1
"""
_LEASE_SUSPECT = f"""
WITH job AS MATERIALIZED (
  SELECT j.* FROM jobs j WHERE j.id = $2 FOR UPDATE SKIP LOCKED
), a AS (
  UPDATE accounts a SET status = 'leased', session_id = $1, last_session = $1,
    attempt = a.attempt + 1, updated_at = {NOW}
  FROM job WHERE a.job_id = $2 AND a.idx = $3 AND a.status || '' IN ('planned', 'unsure')
  RETURNING a.*
)
SELECT {ACCOUNT_COLUMNS} FROM a, job j
"""


async def claim(db: Db, session: str, asked: Sequence[Asked], room: Room, plan: Plan) -> Claim:
    """Rules on each entry in order, and leases accounts to the session as far as there is room."""
    if await db.fetchval(LIVE, session) != "live":
        raise lost(session)
    refused = await _enter_raw(db, [one.raw for one in asked if one.raw is not None])
    rows = await job_rows(db, LOCK, [one.id for one in asked])
    open_accounts = await _open_accounts(db, asked, rows, room.total)
    away = await _away(db, [one for one in asked if one.id not in rows])
    slices = Slices(room, plan)
    for one in asked:
        ruling = refused.get(one.id) or away.get(one.id)
        if ruling is None:
            slices.rule(one, rows[one.id], open_accounts[one.id])
        else:
            slices.refuse(ruling)
    await _write(db, session, slices)
    await hold(db, slices.held)
    return slices.placed(await _move(db, slices.moves))


async def suspects(db: Db) -> bool:
    return await db.fetchrow(SUSPECT) is not None


async def claim_suspect(db: Db, session: str) -> LeasedAccount | None:
    """One account whose session was lost twice, if this session holds nothing else."""
    if await db.fetchval(LIVE, session) != "live":
        raise lost(session)
    if await db.fetchval("SELECT 1 FROM accounts WHERE session_id = $1 LIMIT 1", session):
        return None
    found = await db.fetchrow(SUSPECT)
    if found is None:
        return None
    row = await db.fetchrow(_LEASE_SUSPECT, session, found["job_id"], found["idx"])
    if row is None:  # another worker is at its job
        return None
    account = leased(row, bump=0)
    await note(db, [Note(*account.key, Happening.LEASED, account.attempt, session)])
    return account


async def held(db: Db, session: str) -> list[LeasedAccount]:
    """What is leased to a session; each must be looked for first, its claim's answer was lost."""
    return [leased(row, bump=0) for row in await db.fetch(HELD, session)]


async def job_rows(db: Db, sql: str, ids: Sequence[str]) -> dict[str, JobRow]:
    return {row["id"]: JobRow(*row) for row in await db.fetch(sql, ids)}


async def _enter_raw(db: Db, raw: Sequence[NewJob]) -> dict[str, Ruling]:
    """Inserts raw jobs not seen before; rulings on those that cannot be used, or are known."""
    if not raw:
        return {}
    pairs = ([job.tenant_id for job in raw], [job.directory for job in raw])
    found = await db.fetch(_DIRECTORIES, *pairs)
    known = {(row["tenant_id"], row["name"]): row["most"] for row in found}
    faults = {job.id: raw_fault(job, known) for job in raw}
    usable = sorted((job for job in raw if faults[job.id] is None), key=lambda job: job.id)
    rows = await db.fetch(
        f"{INSERT_JOBS} ON CONFLICT (id) DO NOTHING RETURNING id", *job_columns(usable), False
    )
    new = {row["id"] for row in rows}
    old = [job for job in raw if job.id not in new]
    present = await job_rows(db, _PRESENT, [job.id for job in old]) if old else {}
    return {job.id: known_raw(job, present.get(job.id), faults[job.id]) for job in old}


async def _open_accounts(
    db: Db, asked: Sequence[Asked], rows: Mapping[str, JobRow], room: int
) -> dict[str, deque[Any]]:
    """Accounts that are due, by job; a job of which nothing was claimed has none yet. No more than
    `room` are read: where that cuts a job short, those before it have filled the room. Of those
    that walk, the accounts that come next."""
    found: dict[str, deque[Any]] = defaultdict(deque)
    current = [
        row for one in asked if (row := rows.get(one.id)) is not None and row.place == one.place
    ]
    walking = [row for row in current if row.walks]
    if walking and room > 0:
        names = ("id", "walked", "look")
        columns = ([getattr(row, name) for row in walking] for name in names)
        for walked in await db.fetch(WALK, *columns):
            found[walked[0]].append(tuple(walked)[1:])
    touched = [row.id for row in current if row.next_index > 0 and not row.walks]
    if touched and room > 0:
        for account in await db.fetch(OPEN_ACCOUNTS, touched, room):
            found[account["job_id"]].append(account)
    return found


async def _away(db: Db, missing: Sequence[Asked]) -> dict[str, Ruling]:
    """Rulings on jobs that could not be locked: another worker is at them, or there is none."""
    if not missing:
        return {}
    rows = await job_rows(db, _PRESENT, [one.id for one in missing])
    return {one.id: Ruling(one.id, _seen_from_afar(one, rows.get(one.id))) for one in missing}


def _seen_from_afar(one: Asked, row: JobRow | None) -> Verdict:
    current = row is not None and one.raw is None and row.place == one.place
    return Verdict.LOCKED if current else Verdict.STALE


async def _write(db: Db, session: str, slices: Slices) -> None:
    if slices.again:
        again = slices.again
        await db.execute(LEASE, session, [a.job_id for a in again], [a.index for a in again])
        later = [a for a in again if a.attempt > 1 and a.find_first]
        await note(db, [Note(*a.key, Happening.LEASED, a.attempt, session) for a in later])
    if slices.new:
        await db.execute(_INSERT, session, *_new_columns(slices.new))


async def _move(db: Db, moves: Sequence[Move]) -> dict[str, int | None]:
    """Gives each job a new place where work is left now, else the time at which some will be."""
    if not moves:
        return {}
    names = ("id", "next_index", "touched", "walked")
    columns = ([getattr(move, name) for move in moves] for name in names)
    return {row["id"]: row["place"] for row in await db.fetch(MOVE, *columns)}


def _new_columns(new: Sequence[tuple[str, PlannedAccount]]) -> tuple[list[Any], ...]:
    return (
        [p.job_id for _, p in new],
        [p.index for _, p in new],
        [tenant for tenant, _ in new],
        [p.person.username for _, p in new],
        [p.person.email for _, p in new],
        [p.person.given_name for _, p in new],
        [p.person.family_name for _, p in new],
        [p.person.display_name for _, p in new],
        [p.sealed for _, p in new],
        [packed(p.person) for _, p in new],
    )
