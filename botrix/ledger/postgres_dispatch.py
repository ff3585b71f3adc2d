"""What the dispatcher asks of a ledger on PostgreSQL: which leases end, which jobs stand in the
line, and which have fallen out of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from botrix.ledger.ledger import Due, Placed
from botrix.ledger.postgres_rows import JOB, NOW, SUM, Db, job_state, moved
from botrix.ledger.postgres_turns import take_turns
from botrix.ledger.slices import CLAIMABLE, NOT_WAITING, POISONED
from botrix.ledger.turns import turned
from botrix.model import POISON, JobState, Lane
from botrix.states import JobStatus

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
WITH gone AS MATERIALIZED (
  SELECT a.job_id, a.idx, s.id AS session_id, s.status AS ended,
    a.crashes + CASE s.status WHEN 'lost' THEN 1 ELSE 0 END AS crashes
  FROM accounts a JOIN sessions s ON s.id = a.session_id
  WHERE s.status || '' <> 'live' AND a.session_id IS NOT NULL AND a.job_id = ANY ($1::text[])
  LIMIT $2
), freed AS (
  UPDATE accounts a SET session_id = NULL, not_before = 0, updated_at = {NOW}, crashes = g.crashes,
    in_doubt = true,
    status = CASE WHEN g.crashes >= {POISON} THEN 'failed' ELSE 'unsure' END,
    reason = CASE WHEN g.crashes >= {POISON} THEN $3 ELSE a.reason END,
    detail = CASE WHEN g.crashes >= {POISON} THEN $4 ELSE a.detail END
  FROM gone g WHERE a.job_id = g.job_id AND a.idx = g.idx
  RETURNING a.tenant_id, a.job_id, a.idx, a.attempt, a.status, a.reason, a.detail, g.session_id,
    g.ended
), noted AS (
  INSERT INTO history (tenant_id, job_id, idx, at, what, attempt, session_id, reason, detail)
  SELECT f.tenant_id, f.job_id, f.idx, {NOW}, n.what, f.attempt, f.session_id, n.reason, n.detail
  FROM freed f, LATERAL (
    SELECT 1, CASE f.ended WHEN 'lost' THEN 'lost' ELSE 'freed' END, NULL, NULL
    UNION ALL SELECT 2, f.status, f.reason, f.detail WHERE f.status = 'failed'
  ) n (rank, what, reason, detail) ORDER BY f.job_id, f.idx, n.rank
)
SELECT job_id, count(*)::int AS freed, (count(*) FILTER (WHERE status = 'failed'))::int AS failed
FROM freed GROUP BY job_id
"""
PLACE = f"""
UPDATE jobs j SET place = nextval('place_sequence'), due_at = NULL
FROM (SELECT id FROM unnest($1::text[]) u (id) ORDER BY id) u
WHERE j.id = u.id AND coalesce(j.place, -1) = -1 AND {NOT_WAITING}
  AND j.status || '' IN ('pending', 'running', 'cancelling')
RETURNING j.id, j.place, j.lane
"""
DUE = f"""
SELECT id, status FROM jobs WHERE due_at <= {NOW} AND place IS NULL
  AND {NOT_WAITING} ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
"""
_CLAIMABLE = f"""
SELECT u.id FROM unnest($1::text[]) u (id), LATERAL (
  SELECT 1 FROM jobs j WHERE j.id = u.id AND (j.status || '' IN ('pending', 'running')
    OR (j.status || '' = 'cancelling' AND EXISTS (
      SELECT 1 FROM accounts a WHERE a.job_id = j.id AND {CLAIMABLE}
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
  status = CASE WHEN {SUM} + $2 = j.count THEN 'cancelled' ELSE j.status END,
  finished_at = CASE WHEN {SUM} + $2 = j.count THEN {NOW} ELSE j.finished_at END,
  due_at = CASE WHEN {SUM} + $2 = j.count THEN NULL WHEN $3 THEN 0 ELSE (
    SELECT min(a.not_before) FROM accounts a WHERE a.job_id = j.id AND {CLAIMABLE}) END,
  look_at = CASE WHEN {SUM} + $2 = j.count THEN {NOW} ELSE j.look_at END
WHERE j.id = $1 RETURNING {JOB}
"""
PASSED_BY = """
SELECT id, place FROM jobs WHERE lane = $1 AND place IS NOT NULL AND place < $2
ORDER BY place LIMIT $3
"""
_NEXT_TENANT = """
(SELECT j.tenant_id FROM jobs j WHERE j.place IS NOT NULL AND j.tenant_id > {}
 ORDER BY j.tenant_id, j.lane, j.place LIMIT 1)
"""
WAITING = f"""
WITH RECURSIVE t (id, n) AS (
  SELECT {_NEXT_TENANT.format("$1::text")}, 1
  UNION ALL SELECT {_NEXT_TENANT.format("t.id")}, t.n + 1 FROM t WHERE t.id IS NOT NULL AND t.n < $2
)
SELECT t.id AS tenant_id, j.id, j.place, l.lane
FROM t, unnest(ARRAY['high', 'normal', 'low']) WITH ORDINALITY l (lane, rank), LATERAL (
  SELECT j.id, j.place FROM jobs j
  WHERE j.tenant_id = t.id AND j.lane = l.lane AND j.place IS NOT NULL
  ORDER BY j.place LIMIT $3) j
ORDER BY t.n, l.rank, j.place
"""
OPEN_JOBS = """
SELECT count(*) FROM (SELECT 1 FROM jobs WHERE tenant_id >= ''
  AND status IN ('pending', 'running', 'cancelling') LIMIT $1) j
"""
PLACES = """
SELECT j.id, j.place FROM (SELECT DISTINCT id FROM unnest($1::text[]) u (id)) u,
LATERAL (SELECT j.id, j.place FROM jobs j WHERE j.id = u.id) j
"""
HALTED = """
SELECT j.id FROM (SELECT DISTINCT id FROM unnest($1::text[]) u (id)) u,
LATERAL (SELECT j.id, j.paused, j.status FROM jobs j WHERE j.id = u.id) j
WHERE j.paused OR j.status || '' = 'cancelling'
"""
_PUT_BACK = f"""
WITH moved AS (
  UPDATE jobs j SET place = nextval('place_sequence')
  FROM (SELECT id, place FROM unnest($1::text[], $2::bigint[]) u (id, place) ORDER BY id) u,
  LATERAL (SELECT j.id FROM jobs j WHERE j.id = u.id FOR UPDATE SKIP LOCKED) l
  WHERE j.id = l.id AND coalesce(j.place, -1) = u.place
  RETURNING j.tenant_id, j.id, j.place, j.lane
), noted AS (
  INSERT INTO history (tenant_id, job_id, at, what)
  SELECT tenant_id, id, {NOW}, 'put back' FROM moved
)
SELECT id, place, lane FROM moved
"""


async def free(db: Db, limit: int) -> Due:
    """Takes the leases of every session that is not live back; what was under way is unsure. Whose
    worker died each time, also when it held nothing else, is set aside."""
    jobs = [row["job_id"] for row in await db.fetch(_LEASES_OF_THE_LOST, limit)]
    if not jobs:
        return Due()
    mine = [row["id"] for row in await db.fetch(LOCK_JOBS, jobs)]
    freed = await db.fetch(_FREE, mine, limit, *POISONED)
    states = await moved(db, {r["job_id"]: {"failed": r["failed"]} for r in freed if r["failed"]})
    states = turned(states, await take_turns(db, sorted(state.id for state in states)))
    placed = await _place(db, sorted(row["job_id"] for row in freed))
    n = sum(row["freed"] for row in freed)
    return Due(placed, states, more=n == limit, freed=n)


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


async def open_jobs(db: Db, most: int) -> int:
    return int(await db.fetchval(OPEN_JOBS, most))


async def several_tenants(db: Db) -> bool:
    return len(await db.fetch("SELECT 1 FROM (SELECT id FROM tenants ORDER BY id LIMIT 2) t")) > 1


async def waiting(db: Db, after: str, tenants: int, limit: int) -> dict[str, list[Placed]]:
    """From tenant to tenant by the index, so that neither those without work nor the jobs behind
    the first cost anything."""
    found: dict[str, list[Placed]] = {}
    for row in await db.fetch(WAITING, after, tenants, limit):
        one = Placed(row["id"], row["place"], Lane(row["lane"]))
        found.setdefault(row["tenant_id"], []).append(one)
    return found


async def places(db: Db, jobs: Sequence[str]) -> dict[str, int | None]:
    return {row["id"]: row["place"] for row in await db.fetch(PLACES, jobs)} if jobs else {}


async def halted(db: Db, jobs: Collection[str]) -> set[str]:
    return {row["id"] for row in await db.fetch(HALTED, list(jobs))}


async def put_back(db: Db, seen: Mapping[str, int]) -> list[Placed]:
    """A new place for each job that still has the place that was seen."""
    jobs = sorted(seen)
    return _placed(await db.fetch(_PUT_BACK, jobs, [seen[job] for job in jobs]))


def _placed(rows: Iterable[Any]) -> list[Placed]:
    placed = [Placed(row["id"], row["place"], Lane(row["lane"])) for row in rows]
    return sorted(placed, key=lambda one: one.place)
