"""The hot verbs on PostgreSQL; the claim has a file of its own. `ledger.py` says what each does.

Every row is reached through its primary key in a LATERAL look-up over `unnest`. NOW is the clock of
the database, in seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from botrix.errors import SessionLost
from botrix.ledger.ledger import (
    DirectoryRow,
    Due,
    Placed,
    Recorded,
    Submission,
    Submitted,
)
from botrix.model import JobState, JobStatus, Lane, LeasedAccount, NewJob, Person, Result

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Db: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Db = Any

NOW = "extract(epoch FROM clock_timestamp())::float8"
JOB = (
    "j.id, j.tenant_id, j.status, j.lane, j.directory, j.count, j.created, j.existing, j.failed,"
    " j.cancelled, j.deleted, j.retried"
)
_SUM = "j.created + j.existing + j.failed + j.cancelled + j.deleted"

INSERT_JOBS = f"""
INSERT INTO jobs (id, tenant_id, source, lane, directory, template, tries, count, place,
                  created_at, updated_at)
SELECT u.id, u.tenant_id, u.source, u.lane, u.directory, u.template, u.tries, u.count,
       CASE WHEN $9 THEN nextval('place_sequence') END, {NOW}, {NOW}
FROM (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                           $7::int[], $8::int[])
      WITH ORDINALITY
      u (id, tenant_id, source, lane, directory, template, tries, count, n) ORDER BY n) u
"""
_KEYS = f"""
INSERT INTO idempotency_keys (tenant_id, key, fingerprint, job_id, created_at)
SELECT tenant_id, key, fingerprint, job_id, {NOW}
FROM (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
      u (tenant_id, key, fingerprint, job_id, n) ORDER BY tenant_id, key, n) u
ON CONFLICT DO NOTHING
"""
_KEYS_SEEN = """
SELECT u.tenant_id, u.key, k.fingerprint, k.job_id
FROM unnest($1::text[], $2::text[]) u (tenant_id, key),
LATERAL (SELECT fingerprint, job_id FROM idempotency_keys k
         WHERE k.tenant_id = u.tenant_id AND k.key = u.key) k
"""
_OVER = (  # by the row as it is when it is locked, not as the statement first saw it
    f"{_SUM} + t.created + t.existing + t.failed + t.cancelled = j.count"
    " AND j.status IN ('running', 'cancelling')"
)
RECORD = f"""
WITH live AS MATERIALIZED (
  SELECT 1 FROM sessions s WHERE s.id = $1 AND s.status || '' = 'live'
), locked AS MATERIALIZED (
  SELECT array_agg(j.cancelling ORDER BY u.n) AS cancelling
  FROM live, unnest($2::text[]) WITH ORDINALITY u (id, n)
  LEFT JOIN LATERAL (SELECT j.status || '' = 'cancelling' AS cancelling FROM jobs j
                     WHERE j.id = u.id FOR UPDATE) j ON true
), given AS (
  SELECT u.*, CASE WHEN u.status = 'planned' AND l.cancelling[u.job] THEN 'cancelled'
                   ELSE u.status END AS becomes
  FROM live, locked l, unnest($3::int[], $4::text[], $5::int[], $6::int[], $7::text[], $8::text[],
                              $9::text[], $10::text[], $11::float8[], $12::int[])
       u (job, job_id, idx, attempt, status, entry_id, reason, detail, delay, counted)
), hit AS (
  UPDATE accounts a SET status = g.becomes, session_id = NULL,
    entry_id = coalesce(g.entry_id, a.entry_id), reason = g.reason, detail = g.detail,
    not_before = CASE WHEN g.becomes IN ('planned', 'unsure') THEN {NOW} + g.delay ELSE 0 END,
    tries = a.tries + g.counted, updated_at = {NOW}
  FROM given g
  WHERE a.job_id = g.job_id AND a.idx = g.idx AND a.attempt = g.attempt
    AND coalesce(a.session_id, '') = $1 AND a.status || '' = 'leased'
  RETURNING a.job_id, a.idx, a.attempt, a.status, a.not_before, g.counted
), tally AS MATERIALIZED (
  SELECT job_id, array_agg(idx) AS hits, array_agg(attempt) AS attempts,
    count(*) FILTER (WHERE status = 'created') AS created,
    count(*) FILTER (WHERE status = 'existing') AS existing,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
    coalesce(sum(counted) FILTER (WHERE status IN ('planned', 'unsure')), 0) AS retried,
    min(not_before) FILTER (WHERE status IN ('planned', 'unsure')) AS due
  FROM hit GROUP BY job_id
)
UPDATE jobs j SET
  created = j.created + t.created, existing = j.existing + t.existing,
  failed = j.failed + t.failed, cancelled = j.cancelled + t.cancelled,
  retried = j.retried + t.retried, updated_at = {NOW},
  status = CASE WHEN NOT ({_OVER}) THEN j.status WHEN j.status = 'cancelling' THEN 'cancelled'
                WHEN j.failed + t.failed > 0 THEN 'failed' ELSE 'completed' END,
  place = CASE WHEN {_OVER} THEN NULL ELSE j.place END,
  due_at = CASE WHEN {_OVER} THEN NULL ELSE least(j.due_at, t.due) END,
  finished_at = CASE WHEN {_OVER} THEN {NOW} ELSE j.finished_at END
FROM tally t WHERE j.id = t.job_id
RETURNING {JOB}, t.hits, t.attempts
"""
RENAME = f"""
UPDATE accounts SET username = $5, email = $6, given_name = $7, family_name = $8,
  display_name = $9, updated_at = {NOW}
WHERE job_id = $1 AND idx = $2 AND coalesce(session_id, '') = $3 AND attempt = $4
  AND status || '' = 'leased'
  AND EXISTS (SELECT 1 FROM sessions s WHERE s.id = $3 AND s.status || '' = 'live')
"""
_LEASES_OF_THE_LOST = """
SELECT DISTINCT a.job_id FROM (
  SELECT a.job_id FROM accounts a, LATERAL (
    SELECT 1 FROM sessions s WHERE s.id = a.session_id AND s.status || '' <> 'live') s
  WHERE a.session_id IS NOT NULL LIMIT $1) a
"""
LOCK_JOBS = """
SELECT j.id FROM (SELECT id FROM unnest($1::text[]) u (id) ORDER BY id) u,
LATERAL (SELECT j.id FROM jobs j WHERE j.id = u.id FOR UPDATE SKIP LOCKED) j
"""
_FREE = f"""
UPDATE accounts a SET status = 'unsure', session_id = NULL, not_before = 0, updated_at = {NOW},
  crashes = a.crashes + CASE s.status WHEN 'lost' THEN 1 ELSE 0 END
FROM sessions s
WHERE a.session_id = s.id AND s.status <> 'live' AND (a.job_id, a.idx) IN (
  SELECT a.job_id, a.idx FROM accounts a JOIN sessions s ON s.id = a.session_id
  WHERE s.status || '' <> 'live' AND a.session_id IS NOT NULL AND a.job_id = ANY ($1::text[])
  LIMIT $2)
RETURNING a.job_id
"""
PLACE = """
UPDATE jobs j SET place = nextval('place_sequence'), due_at = NULL
FROM (SELECT id FROM unnest($1::text[]) u (id) ORDER BY id) u
WHERE j.id = u.id AND coalesce(j.place, -1) = -1 AND NOT j.paused AND NOT j.importing
  AND j.status || '' IN ('pending', 'running', 'cancelling')
RETURNING j.id, j.place, j.lane
"""
DUE = f"""
SELECT id, status FROM jobs WHERE due_at <= {NOW} AND place IS NULL AND NOT paused
  AND NOT importing ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
"""
_CLAIMABLE = f"""
SELECT u.id FROM unnest($1::text[]) u (id), LATERAL (
  SELECT 1 FROM jobs j WHERE j.id = u.id AND (j.status || '' IN ('pending', 'running')
    OR (j.status || '' = 'cancelling' AND EXISTS (
      SELECT 1 FROM accounts a WHERE a.job_id = j.id AND a.status = 'unsure'
      AND a.not_before <= {NOW}) AND NOT EXISTS (
      SELECT 1 FROM accounts a WHERE a.job_id = j.id AND a.status = 'planned')))) j
"""
_SWEEP = f"""
UPDATE accounts SET status = 'cancelled', reason = 'cancelled', updated_at = {NOW}
WHERE job_id = $1 AND idx IN (
  SELECT idx FROM accounts WHERE job_id = $1 AND status = 'planned' LIMIT $2)
"""
_SWEPT = f"""
UPDATE jobs j SET cancelled = j.cancelled + $2, updated_at = {NOW},
  status = CASE WHEN {_SUM} + $2 = j.count THEN 'cancelled' ELSE j.status END,
  finished_at = CASE WHEN {_SUM} + $2 = j.count THEN {NOW} ELSE j.finished_at END,
  due_at = CASE WHEN {_SUM} + $2 = j.count THEN NULL WHEN $3 THEN 0 ELSE (
    SELECT min(a.not_before) FROM accounts a WHERE a.job_id = j.id AND a.status = 'unsure') END
WHERE j.id = $1 RETURNING {JOB}
"""
PASSED_BY = """
SELECT id, place FROM jobs WHERE lane = $1 AND place IS NOT NULL AND place < $2
ORDER BY place LIMIT $3
"""
_PUT_BACK = """
UPDATE jobs j SET place = nextval('place_sequence')
FROM (SELECT id, place FROM unnest($1::text[], $2::bigint[]) u (id, place) ORDER BY id) u,
LATERAL (SELECT j.id FROM jobs j WHERE j.id = u.id FOR UPDATE SKIP LOCKED) l
WHERE j.id = l.id AND coalesce(j.place, -1) = u.place
RETURNING j.id, j.place, j.lane
"""


_FIRST_RESULTS = """
SELECT json_agg(json_build_object('index', a.idx, 'username', a.username, 'status', a.status,
                                  'reason', a.reason) ORDER BY a.idx)::text
FROM (SELECT idx, username, status, reason FROM accounts WHERE job_id = $1
      ORDER BY idx LIMIT $2) a
"""


def job_state(row: Iterable[Any]) -> JobState:
    """From the columns of JOB, in their order (more may follow)."""
    ident, tenant, status, lane, directory, *counts = tuple(row)[:12]
    return JobState(ident, tenant, JobStatus(status), Lane(lane), directory, *counts)


def job_columns(jobs: Sequence[NewJob]) -> tuple[list[Any], ...]:
    """The arrays of INSERT_JOBS."""
    return (
        [j.id for j in jobs],
        [j.tenant_id for j in jobs],
        [j.source for j in jobs],
        [j.lane for j in jobs],
        [j.directory for j in jobs],
        [j.template for j in jobs],
        [j.tries for j in jobs],
        [j.count for j in jobs],
    )


async def submit(db: Db, submissions: Sequence[Submission]) -> list[Submitted]:
    before = await _earlier(db, [one for one in submissions if one.key is not None])
    answers = [before.get(one.job.id) or Submitted(one.job.id) for one in submissions]
    new = [one.job for one in submissions if one.job.id not in before]
    rows = await db.fetch(f"{INSERT_JOBS} RETURNING id, place", *job_columns(new), True)
    places = {row["id"]: row["place"] for row in rows}
    return [
        answer if answer.replay or answer.clash else Submitted(answer.job_id, places[answer.job_id])
        for answer in answers
    ]


async def _earlier(db: Db, keyed: Sequence[Submission]) -> dict[str, Submitted]:
    """By new job id, those whose key was used before (or earlier in this batch)."""
    if not keyed:
        return {}
    tenants = [one.job.tenant_id for one in keyed]
    keys, prints = [one.key for one in keyed], [one.fingerprint for one in keyed]
    await db.execute(_KEYS, tenants, keys, prints, [one.job.id for one in keyed])
    rows = await db.fetch(_KEYS_SEEN, tenants, keys)
    owners = {(row["tenant_id"], row["key"]): row for row in rows}
    found = {}
    for one in keyed:
        owner = owners[one.job.tenant_id, one.key]
        if owner["job_id"] != one.job.id:
            clash = owner["fingerprint"] != one.fingerprint
            found[one.job.id] = Submitted(owner["job_id"], replay=not clash, clash=clash)
    return found


def lost(session: str) -> SessionLost:
    return SessionLost(f"session {session} was declared lost; the worker starts a new one")


async def rename(db: Db, session: str, account: LeasedAccount, person: Person) -> bool:
    key = (account.job_id, account.index, session, account.attempt)
    names = (
        person.username, person.email, person.given_name, person.family_name, person.display_name,
    )  # fmt: skip
    return bool(await db.execute(RENAME, *key, *names) == "UPDATE 1")


async def record(db: Db, session: str, results: Sequence[Result]) -> Recorded:
    """One statement: compare-and-set on session and attempt, and the counters of what matched."""
    rows = await db.fetch(RECORD, session, *_result_columns(results))
    accepted = {
        (row["id"], idx, attempt)
        for row in rows
        for idx, attempt in zip(row["hits"], row["attempts"], strict=True)
    }
    if not accepted:
        await _require_live(db, session)
    stale = [(r.job_id, r.index) for r in results if (r.job_id, r.index, r.attempt) not in accepted]
    return Recorded(len(accepted), stale, [job_state(row) for row in rows])


def _result_columns(results: Sequence[Result]) -> tuple[list[Any], ...]:
    jobs = sorted(
        {r.job_id for r in results}
    )  # locked in this order, so that none waits in a circle
    number = {job: n for n, job in enumerate(jobs, 1)}
    return (
        jobs,
        [number[r.job_id] for r in results],
        [r.job_id for r in results],
        [r.index for r in results],
        [r.attempt for r in results],
        [r.status for r in results],
        [r.entry_id for r in results],
        [r.reason for r in results],
        [r.detail for r in results],
        [r.delay for r in results],
        [int(r.counted) for r in results],
    )


async def _require_live(db: Db, session: str) -> None:
    if await db.fetchval("SELECT status FROM sessions WHERE id = $1", session) != "live":
        raise lost(session)


async def free(db: Db, limit: int) -> Due:
    """Takes the leases of every session that is not live back; what was under way is unsure."""
    jobs = [row["job_id"] for row in await db.fetch(_LEASES_OF_THE_LOST, limit)]
    if not jobs:
        return Due()
    mine = [row["id"] for row in await db.fetch(LOCK_JOBS, jobs)]
    freed = await db.fetch(_FREE, mine, limit)
    placed = await _place(db, sorted({row["job_id"] for row in freed}))
    return Due(placed, more=len(freed) == limit)


async def _place(db: Db, jobs: Sequence[str]) -> list[Placed]:
    return _placed(await db.fetch(PLACE, jobs)) if jobs else []


async def due(db: Db, limit: int) -> Due:
    """Gives a place to the jobs of which something became claimable; sweeps cancelled ones."""
    rows = await db.fetch(DUE, limit)
    if not rows:
        return Due()
    swept, more = [], len(rows) == limit
    for row in rows:
        if row["status"] == JobStatus.CANCELLING:
            state, full = await _sweep(db, row["id"], limit)
            swept.append(state)
            more = more or full
    claimable = await db.fetch(_CLAIMABLE, [row["id"] for row in rows])
    return Due(await _place(db, sorted(row["id"] for row in claimable)), swept, more)


async def _sweep(db: Db, job_id: str, limit: int) -> tuple[JobState, bool]:
    """One batch; the job stays due while a batch comes back full."""
    done = await db.execute(_SWEEP, job_id, limit)
    n = int(done.split()[-1])
    (row,) = await db.fetch(_SWEPT, job_id, n, n == limit)
    return job_state(row), n == limit


async def fetch(db: Db, limit: int) -> list[Placed]:
    """The jobs that stand first, straight from the ledger: the way without a line."""
    found: list[Placed] = []
    for lane in Lane:
        found += await passed_by(db, lane, None, limit - len(found))
    return found


async def passed_by(db: Db, lane: Lane, head: int | None, limit: int) -> list[Placed]:
    """Jobs of a lane with a place before `head` (all of them where it is None), lowest first."""
    rows = await db.fetch(PASSED_BY, lane, 2**62 if head is None else head, limit)
    return [Placed(row["id"], row["place"], lane) for row in rows]


async def put_back(db: Db, seen: Mapping[str, int]) -> list[Placed]:
    """A new place for each job that still has the place that was seen."""
    jobs = sorted(seen)
    return _placed(await db.fetch(_PUT_BACK, jobs, [seen[job] for job in jobs]))


def _placed(rows: Iterable[Any]) -> list[Placed]:
    placed = [Placed(row["id"], row["place"], Lane(row["lane"])) for row in rows]
    return sorted(placed, key=lambda one: one.place)


async def directory(db: Db, tenant_id: str, name: str) -> DirectoryRow | None:
    row = await db.fetchrow(
        "SELECT kind, config FROM directories WHERE tenant_id = $1 AND name = $2", tenant_id, name
    )
    return None if row is None else DirectoryRow(row["kind"], row["config"])


async def first_results(db: Db, job_id: str, limit: int) -> bytes:
    text = await db.fetchval(_FIRST_RESULTS, job_id, limit)
    return (text or "[]").encode()
