"""The claim on PostgreSQL: entries become leased accounts, all decided before the first call.

One transaction of few statements, whatever the number of entries. Jobs are locked in id order and
those that another worker holds are skipped (their entries are pushed back, not dropped).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from botrix.ledger.ledger import Asked, Claim, Plan, Ruling, Verdict
from botrix.ledger.postgres_verbs import INSERT_JOBS, JOB, NOW, Db, job_columns, job_state, lost
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

_LIVE = "SELECT status FROM sessions WHERE id = $1 FOR SHARE"
_DIRECTORIES = """
SELECT DISTINCT u.tenant_id, u.name FROM unnest($1::text[], $2::text[]) u (tenant_id, name),
LATERAL (SELECT 1 FROM directories d WHERE d.tenant_id = u.tenant_id AND d.name = u.name) d
"""
LOCK = f"""
SELECT j.* FROM (SELECT DISTINCT id FROM unnest($1::text[]) u (id) ORDER BY id) u, LATERAL (
  SELECT {JOB}, j.place, j.template, j.tries, j.next_index, j.source FROM jobs j
  WHERE j.id = u.id FOR UPDATE SKIP LOCKED) j
"""
_PRESENT = """
SELECT j.* FROM unnest($1::text[]) u (id), LATERAL (
  SELECT j.id, j.place, j.source, j.count, j.directory, j.template FROM jobs j
  WHERE j.id = u.id) j
"""
_ACCOUNT = (
    "a.tenant_id, j.directory, a.job_id, a.idx, a.attempt, a.username, a.email, a.given_name,"
    " a.family_name, a.display_name, a.sealed, j.tries AS promised, a.tries, a.status,"
    " j.status AS job_status,"
    " j.source <> 'import' AND coalesce(j.template, '{random}') LIKE '%{random}%' AS unguessable"
)
OPEN_ACCOUNTS = f"""
SELECT a.* FROM unnest($1::text[]) WITH ORDINALITY u (id, n), LATERAL (
  SELECT {_ACCOUNT} FROM jobs j, accounts a WHERE j.id = u.id AND a.job_id = u.id
    AND a.status IN ('planned', 'unsure') AND a.not_before <= {NOW}
    AND (j.status || '' <> 'cancelling' OR a.status = 'unsure')
  ORDER BY a.not_before, a.idx LIMIT {SLICE}) a
ORDER BY u.n LIMIT $2
"""
LEASE = f"""
UPDATE accounts a SET status = 'leased', session_id = $1, attempt = a.attempt + 1,
  updated_at = {NOW}
FROM unnest($2::text[], $3::int[]) u (job_id, idx)
WHERE a.job_id = u.job_id AND a.idx = u.idx
"""
_INSERT = f"""
INSERT INTO accounts (job_id, idx, tenant_id, status, username, email, given_name, family_name,
                      display_name, sealed, session_id, attempt, updated_at)
SELECT u.job_id, u.idx, u.tenant_id, 'leased', u.username, u.email, u.given_name, u.family_name,
       u.display_name, u.sealed, $1, 1, {NOW}
FROM unnest($2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::bytea[])
     u (job_id, idx, tenant_id, username, email, given_name, family_name, display_name, sealed)
"""
MOVE = f"""
UPDATE jobs j SET next_index = u.next_index, updated_at = {NOW},
  status = CASE j.status WHEN 'pending' THEN 'running' ELSE j.status END,
  place = CASE WHEN j.status = 'cancelling' THEN NULL
               WHEN u.next_index < j.count OR o.opens <= {NOW} THEN nextval('place_sequence') END,
  due_at = CASE WHEN j.status <> 'cancelling' AND (u.next_index < j.count OR o.opens <= {NOW})
                THEN NULL ELSE o.opens END
FROM unnest($1::text[], $2::int[], $3::bool[]) u (id, next_index, touched)
CROSS JOIN LATERAL (
  SELECT CASE WHEN u.touched THEN (
    SELECT a.not_before FROM accounts a WHERE a.job_id = u.id
      AND a.status IN ('planned', 'unsure') ORDER BY a.not_before, a.idx LIMIT 1) END AS opens) o
WHERE j.id = u.id
RETURNING j.id, j.place
"""
HELD = f"""
SELECT {_ACCOUNT} FROM accounts a, LATERAL (SELECT * FROM jobs j WHERE j.id = a.job_id) j
WHERE a.session_id = $1
"""


@dataclass(slots=True)
class _Slices:
    """What one claim takes, gathered before it is written."""

    again: list[LeasedAccount] = field(default_factory=list)
    new: list[tuple[str, PlannedAccount]] = field(default_factory=list)
    moved: list[tuple[str, int, bool]] = field(default_factory=list)


async def claim(db: Db, session: str, asked: Sequence[Asked], room: int, plan: Plan) -> Claim:
    """Rules on each entry in order, and leases at most `room` accounts to the session."""
    if await db.fetchval(_LIVE, session) != "live":
        raise lost(session)
    refused = await _enter_raw(db, [one.raw for one in asked if one.raw is not None])
    rows = {row["id"]: row for row in await db.fetch(LOCK, [one.id for one in asked])}
    open_accounts = await _open_accounts(db, asked, rows, room)
    away = await _away(db, [one for one in asked if one.id not in rows])
    got, slices = Claim(), _Slices()
    for one in asked:
        ruling = refused.get(one.id) or away.get(one.id)
        if ruling is None:
            left = room - len(got.accounts)
            ruling = _rule(one, rows[one.id], open_accounts[one.id], left, plan, got, slices)
        got.rulings.append(ruling)
    places = await _write(db, session, slices)
    got.rulings[:] = [replace(r, back=places.get(r.id)) for r in got.rulings]
    return got


async def held(db: Db, session: str) -> list[LeasedAccount]:
    """What is leased to a session; each must be looked for first, its claim's answer was lost."""
    rows = await db.fetch(HELD, session)
    return [replace(_leased(row, bump=0), find_first=True) for row in rows]


async def _enter_raw(db: Db, raw: Sequence[NewJob]) -> dict[str, Ruling]:
    """Inserts raw jobs not seen before; rulings on those that cannot be used, or are known."""
    if not raw:
        return {}
    pairs = ([job.tenant_id for job in raw], [job.directory for job in raw])
    known = {tuple(row) for row in await db.fetch(_DIRECTORIES, *pairs)}
    usable = sorted((j for j in raw if (j.tenant_id, j.directory) in known), key=lambda j: j.id)
    rows = await db.fetch(
        f"{INSERT_JOBS} ON CONFLICT (id) DO NOTHING RETURNING id", *job_columns(usable), False
    )
    new = {row["id"] for row in rows}
    old = [job for job in raw if job.id not in new]
    present = {row["id"]: row for row in await db.fetch(_PRESENT, [j.id for j in old])}
    return {job.id: _known_raw(job, present.get(job.id)) for job in old}


def _known_raw(raw: NewJob, row: Any) -> Ruling:
    if row is None:
        reason = f"there is no directory {raw.directory!r}; see: botrix directory list"
        return Ruling(raw.id, Verdict.REJECTED, reason=reason)
    same = (row["source"], row["count"], row["directory"], row["template"])
    if same == (Source.RAW, raw.count, raw.directory, raw.template):
        return Ruling(raw.id, Verdict.STALE)
    return Ruling(raw.id, Verdict.REJECTED, reason="the id belongs to another job; choose a new id")


async def _open_accounts(
    db: Db, asked: Sequence[Asked], rows: dict[str, Any], room: int
) -> dict[str, deque[Any]]:
    """Accounts that are due, by job; a job of which nothing was claimed has none yet. No more than
    `room` are read: where that cuts a job short, those before it have filled the room."""
    found: dict[str, deque[Any]] = defaultdict(deque)
    touched = [
        one.id
        for one in asked
        if _is_current(one, rows.get(one.id)) and rows[one.id]["next_index"] > 0
    ]
    if touched and room > 0:
        for row in await db.fetch(OPEN_ACCOUNTS, touched, room):
            found[row["job_id"]].append(row)
    return found


def _is_current(one: Asked, row: Any) -> bool:
    return row is not None and one.raw is None and row["place"] == one.place


async def _away(db: Db, missing: Sequence[Asked]) -> dict[str, Ruling]:
    """Rulings on jobs that could not be locked: another worker is at them, or there is none."""
    if not missing:
        return {}
    rows = await db.fetch(_PRESENT, [one.id for one in missing])
    places = {row["id"]: row["place"] for row in rows}
    return {
        one.id: Ruling(
            one.id,
            Verdict.LOCKED
            if one.raw is None and places.get(one.id) == one.place and one.id in places
            else Verdict.STALE,
        )
        for one in missing
    }


def _rule(
    one: Asked,
    row: Any,
    open_accounts: deque[Any],
    room: int,
    plan: Plan,
    got: Claim,
    slices: _Slices,
) -> Ruling:
    if one.raw is None and row["place"] != one.place:
        return Ruling(one.id, Verdict.STALE)
    lane = Lane(row["lane"])
    if room <= 0 and one.raw is None:
        return Ruling(one.id, Verdict.OVER, lane=lane)
    limit = min(SLICE, max(room, 0))
    again = [_leased(open_accounts.popleft(), 1) for _ in range(min(limit, len(open_accounts)))]
    first = end = row["next_index"]
    if row["status"] != JobStatus.CANCELLING:
        end = min(row["count"], first + limit - len(again))
    new = plan(row["tenant_id"], one.id, row["template"], range(first, end)) if end > first else []
    slices.again.extend(again)
    slices.new.extend((row["tenant_id"], planned) for planned in new)
    slices.moved.append((one.id, end, first > 0))
    got.accounts.extend(again)
    got.accounts.extend(_fresh(row, planned) for planned in new)
    if row["status"] == JobStatus.PENDING:
        got.started.append(replace(job_state(row), status=JobStatus.RUNNING))
    return Ruling(one.id, Verdict.TAKEN, lane=lane)


async def _write(db: Db, session: str, slices: _Slices) -> dict[str, int | None]:
    """Leases, inserts and moves what was gathered; the new places by job."""
    if slices.again:
        again = slices.again
        await db.execute(LEASE, session, [a.job_id for a in again], [a.index for a in again])
    if slices.new:
        await db.execute(_INSERT, session, *_new_columns(slices.new))
    if not slices.moved:
        return {}
    ids, indexes, touched = zip(*slices.moved, strict=True)
    rows = await db.fetch(MOVE, ids, indexes, touched)
    return {row["id"]: row["place"] for row in rows}


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
    )


def _fresh(row: Any, planned: PlannedAccount) -> LeasedAccount:
    return LeasedAccount(
        row["tenant_id"], row["directory"], planned.job_id, planned.index, 1, planned.person,
        planned.sealed, tries_left=row["tries"],
        unguessable="{random}" in (row["template"] or "{random}"),
    )  # fmt: skip


def _leased(row: Any, bump: int) -> LeasedAccount:
    tenant, directory, job, idx, attempt, *person, sealed, tries, used, was, status, unguessable = (
        row
    )
    return LeasedAccount(
        tenant, directory, job, idx, attempt + bump, Person(*person), sealed,
        tries_left=tries - used, tries_used=used, find_first=was == "unsure",
        find_only=status == JobStatus.CANCELLING, unguessable=unguessable,
    )  # fmt: skip
