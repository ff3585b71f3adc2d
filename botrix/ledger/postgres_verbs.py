"""The hot verbs on PostgreSQL; the claim has a file of its own. `ledger.py` says what each does.

Every row is reached through its primary key in a LATERAL look-up over `unnest`. NOW is the clock of
the database, in seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from botrix.extra import packed_groups
from botrix.ledger.ledger import DirectoryRow, Recorded, Submission, Submitted
from botrix.ledger.notes import of_result
from botrix.ledger.postgres_audit import note_acts
from botrix.ledger.postgres_history import note
from botrix.ledger.postgres_rows import JOB, NOW, SUM, Db, job_state, lost
from botrix.ledger.postgres_turns import keep_looks, take_turns
from botrix.ledger.quotas import COUNTED, LIMITED, QUOTA_COLUMNS, Quota, sift
from botrix.ledger.turns import Turn, turned
from botrix.model import LeasedAccount, NewJob, Person, Result
from botrix.states import Happening

INSERT_INTO_JOBS = """
INSERT INTO jobs (id, tenant_id, source, lane, directory, template, tries, count, groups,
                  traceparent, place, created_at, updated_at)
SELECT u.id, u.tenant_id, u.source, u.lane, u.directory, u.template, u.tries, u.count, u.groups,
       u.traceparent, CASE WHEN $11 THEN nextval('place_sequence') END, t.now, t.now
FROM t,
     (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                           $7::int[], $8::int[], $9::text[], $10::text[])
      WITH ORDINALITY
      u (id, tenant_id, source, lane, directory, template, tries, count, groups, traceparent, n)
      ORDER BY n) u
"""
INSERT_JOBS = f"WITH t AS MATERIALIZED (SELECT {NOW} AS now) {INSERT_INTO_JOBS}"
_ENTER = f"{INSERT_JOBS} RETURNING id, place, created_at AS at"
_RUN = f"""
UPDATE jobs j SET stage = u.stage, reach = u.reach, gate = u.gate, max_failures = u.max_failures,
  on_conflict = u.on_conflict, not_before = u.not_before,
  place = CASE WHEN u.not_before > {NOW} THEN NULL ELSE j.place END,
  due_at = CASE WHEN u.not_before > {NOW} THEN u.not_before END
FROM unnest($1::text[], $2::text[], $3::int[], $4::float8[], $5::int[], $6::text[], $7::float8[])
     u (id, stage, reach, gate, max_failures, on_conflict, not_before)
WHERE j.id = u.id RETURNING j.id, j.place
"""
_THOSE_OF = """
SELECT j.id FROM unnest($1::text[]) u (id),
LATERAL (SELECT j.id FROM jobs j WHERE j.id = u.id AND j.tenant_id = $2) j
"""
LOCK_TENANTS = f"""
SELECT {QUOTA_COLUMNS}, 0 AS open, {LIMITED} AS limited, t.audit_n, t.audit_hash, {NOW} AS now
FROM tenants t WHERE t.id = ANY ($1::text[]) ORDER BY t.id FOR NO KEY UPDATE
"""
OPEN_JOBS = f"""
SELECT {NOW} AS now, ARRAY(
  SELECT (SELECT count(*) FROM (
    SELECT 1 FROM jobs WHERE tenant_id = u.id AND {COUNTED} LIMIT u.most) counted)
  FROM unnest($1::text[], $2::int[]) WITH ORDINALITY u (id, most, n) ORDER BY u.n) AS open
"""
_SPENT = """
UPDATE tenants t SET day = u.day, accounts_today = u.accounts
FROM unnest($1::text[], $2::int[], $3::bigint[]) u (id, day, accounts) WHERE t.id = u.id
"""
_FREE_KEYS = """
DELETE FROM idempotency_keys k USING unnest($1::text[], $2::text[], $3::text[]) u (tenant, key, job)
WHERE k.tenant_id = u.tenant AND k.key = u.key AND k.job_id = u.job
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
    f"{SUM} + t.created + t.existing + t.failed + t.cancelled + t.deleted = j.count"
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
                              $9::text[], $10::text[], $11::float8[], $12::int[], $13::bool[])
       u (job, job_id, idx, attempt, status, entry_id, reason, detail, delay, counted, in_doubt)
), hit AS (
  UPDATE accounts a SET status = g.becomes, session_id = NULL,
    entry_id = coalesce(g.entry_id, a.entry_id), reason = g.reason, detail = g.detail,
    not_before = CASE WHEN g.becomes IN ('planned', 'unsure') THEN {NOW} + g.delay ELSE 0 END,
    tries = a.tries + g.counted, in_doubt = a.in_doubt OR g.in_doubt, updated_at = {NOW}
  FROM given g
  WHERE a.job_id = g.job_id AND a.idx = g.idx AND a.attempt = g.attempt
    AND coalesce(a.session_id, '') = $1 AND a.status || '' = 'leased'
  RETURNING a.tenant_id, a.job_id, a.idx, a.attempt, a.status, a.not_before, a.reason, a.detail,
    g.counted
), noted AS (
  INSERT INTO history (tenant_id, job_id, idx, at, what, attempt, session_id, reason, detail)
  SELECT tenant_id, job_id, idx, {NOW}, status, attempt, $1, reason, detail FROM hit
  WHERE status NOT IN ('created', 'planned') OR reason IS NOT NULL
), tally AS MATERIALIZED (
  SELECT job_id, array_agg(idx) AS hits, array_agg(attempt) AS attempts,
    count(*) FILTER (WHERE status = 'created') AS created,
    count(*) FILTER (WHERE status = 'existing') AS existing,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
    count(*) FILTER (WHERE status = 'deleted') AS deleted,
    coalesce(sum(counted) FILTER (WHERE status IN ('planned', 'unsure')), 0) AS retried,
    min(not_before) FILTER (WHERE status IN ('planned', 'unsure') AND reason IS NOT NULL) AS due
  FROM hit GROUP BY job_id
)
UPDATE jobs j SET
  created = j.created + t.created, existing = j.existing + t.existing,
  failed = j.failed + t.failed, cancelled = j.cancelled + t.cancelled,
  deleted = j.deleted + t.deleted, retried = j.retried + t.retried, updated_at = {NOW},
  status = CASE WHEN NOT ({_OVER}) THEN j.status WHEN j.status = 'cancelling' THEN 'cancelled'
                WHEN j.failed + t.failed > 0 THEN 'failed' ELSE 'completed' END,
  place = CASE WHEN {_OVER} THEN NULL ELSE j.place END,
  due_at = CASE WHEN {_OVER} THEN NULL ELSE least(j.due_at, t.due) END,
  finished_at = CASE WHEN {_OVER} THEN {NOW} ELSE j.finished_at END,
  look_at = CASE WHEN {_OVER} AND j.failed + t.failed + j.cancelled + t.cancelled > 0
                 THEN {NOW} ELSE j.look_at END
FROM tally t WHERE j.id = t.job_id
RETURNING {JOB}, t.hits, t.attempts
"""
RENAME = f"""
WITH job AS MATERIALIZED (SELECT j.id FROM jobs j WHERE j.id = $1 FOR KEY SHARE), renamed AS (
  UPDATE accounts a SET username = $5, email = $6, given_name = $7, family_name = $8,
    display_name = $9, updated_at = {NOW}
  FROM job WHERE a.job_id = job.id AND a.idx = $2 AND coalesce(a.session_id, '') = $3
    AND a.attempt = $4 AND a.status || '' = 'leased'
    AND EXISTS (SELECT 1 FROM sessions s WHERE s.id = $3 AND s.status || '' = 'live')
  RETURNING a.tenant_id)
INSERT INTO history (tenant_id, job_id, idx, at, what, attempt, session_id, reason, detail)
SELECT tenant_id, $1, $2, {NOW}, 'renamed', $4, $3, 'name taken', $10 FROM renamed
"""
_FIRST_RESULTS = """
SELECT json_agg(json_build_object('index', a.idx, 'username', a.username, 'status', a.status,
                                  'reason', a.reason) ORDER BY a.idx)::text
FROM (SELECT idx, username, status, reason FROM accounts WHERE job_id = $1
      ORDER BY idx LIMIT $2) a
"""


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
        [packed_groups(j.groups) for j in jobs],
        [j.traceparent for j in jobs],
    )


async def submit(db: Db, submissions: Sequence[Submission]) -> list[Submitted]:
    """Who is refused has not used the key, so that a second submission under it is the first."""
    answers: dict[str, Submitted] = {}
    left = list(submissions)
    while left:
        answers |= await _earlier(db, [one for one in left if one.key is not None])
        new = [one for one in left if one.job.id not in answers]
        answers |= await _enter(db, new)
        refused = {one.job.id for one in new if answers[one.job.id].refused}
        left = [one for one in left if answers[one.job.id].job_id in refused - {one.job.id}]
        for one in left:
            del answers[one.job.id]
    return [answers[one.job.id] for one in submissions]


async def _enter(db: Db, new: Sequence[Submission]) -> dict[str, Submitted]:
    """By job id, under a lock on the tenants: their quotas and their audit record need it."""
    if not new:
        return {}
    tenants = await db.fetch(LOCK_TENANTS, sorted({one.job.tenant_id for one in new}))
    quotas = [Quota(*row[:7]) for row in tenants if row["limited"]]
    entering: list[Submission] = list(new)
    refused: dict[str, Submitted] = {}
    if quotas:
        entering, refused = await _within_quotas(db, new, quotas)
    columns = job_columns([one.job for one in entering])
    rows = await db.fetch(_ENTER, *columns, True)
    await note_acts(db, tenants, [(one.act, one.actor) for one in entering])
    places = {row["id"]: row["place"] for row in rows}
    places |= await _run(db, [one.job for one in entering if not one.job.is_plain])
    return refused | {
        row["id"]: Submitted(row["id"], places[row["id"]], at=row["at"]) for row in rows
    }


async def _run(db: Db, jobs: Sequence[NewJob]) -> dict[str, int | None]:
    """How they are to be run. Their places, which those have none yet that begin later."""
    if not jobs:
        return {}
    names = ("id", "stage", "reach", "gate", "max_failures", "on_conflict", "not_before")
    columns = ([getattr(job, name) for job in jobs] for name in names)
    return {row["id"]: row["place"] for row in await db.fetch(_RUN, *columns)}


async def _within_quotas(
    db: Db, limited: Sequence[Submission], quotas: Sequence[Quota]
) -> tuple[list[Submission], dict[str, Submitted]]:
    """Which may enter, and the refusals. Jobs are counted by a statement of its own, which sees
    what was committed before the lock was given."""
    used = await db.fetchrow(OPEN_JOBS, [q.id for q in quotas], [q.open_jobs or 0 for q in quotas])
    assert used is not None
    for quota, n in zip(quotas, used["open"], strict=True):
        quota.open = n
    entering, refused = sift(limited, {quota.id: quota for quota in quotas}, used["now"])
    spent = [quota for quota in quotas if quota.accounts_per_day is not None]
    if spent:
        columns = ([q.id for q in spent], [q.day for q in spent], [q.accounts_today for q in spent])
        await db.execute(_SPENT, *columns)
    keyed = [one for one in limited if one.key is not None and one.job.id in refused]
    if keyed:
        tenant_ids, keys = [one.job.tenant_id for one in keyed], [one.key for one in keyed]
        await db.execute(_FREE_KEYS, tenant_ids, keys, [one.job.id for one in keyed])
    return entering, refused


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


async def rename(db: Db, session: str, account: LeasedAccount, person: Person) -> bool:
    key = (account.job_id, account.index, session, account.attempt)
    names = (
        person.username, person.email, person.given_name, person.family_name, person.display_name,
    )  # fmt: skip
    detail = f"from {account.person.username} to {person.username}"
    return bool(await db.execute(RENAME, *key, *names, detail) == "INSERT 0 1")


async def record(db: Db, session: str, results: Sequence[Result]) -> Recorded:
    """One statement: compare-and-set on session and attempt, and the counters of what matched. More
    where jobs are guarded, which takes a transaction."""
    rows = await db.fetch(RECORD, session, *_result_columns(results))
    accepted = {
        (row["id"], idx, attempt)
        for row in rows
        for idx, attempt in zip(row["hits"], row["attempts"], strict=True)
    }
    if not accepted:
        await require_live(db, session)
    stale = [(r.job_id, r.index) for r in results if (r.job_id, r.index, r.attempt) not in accepted]
    done = [r for r in results if (r.job_id, r.index, r.attempt) in accepted]
    states = turned([job_state(row) for row in rows], await _guard(db, done))
    return Recorded(len(accepted), stale, states)


async def _guard(db: Db, done: Sequence[Result]) -> list[Turn]:
    """What was looked at is noted; jobs turn where their numbers say so."""
    guarded = [one for one in done if one.guarded]
    if not guarded:
        return []
    await keep_looks(db, [one for one in guarded if one.look])
    return await take_turns(db, sorted({one.job_id for one in guarded}))


async def refused(db: Db, session: str, results: Sequence[Result]) -> None:
    await note(db, [of_result(one, Happening.REFUSED, session) for one in results])


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
        [r.in_doubt for r in results],
    )


async def require_live(db: Db, session: str) -> None:
    if await db.fetchval("SELECT status FROM sessions WHERE id = $1", session) != "live":
        raise lost(session)


async def those_of(db: Db, tenant_id: str, jobs: Collection[str]) -> set[str]:
    return {row["id"] for row in await db.fetch(_THOSE_OF, list(jobs), tenant_id)}


async def directory(db: Db, tenant_id: str, name: str) -> DirectoryRow | None:
    row = await db.fetchrow(
        "SELECT kind, config, secrets, policy FROM directories WHERE tenant_id = $1 AND name = $2",
        tenant_id,
        name,
    )
    return None if row is None else DirectoryRow(*row)


async def first_results(db: Db, job_id: str, limit: int) -> bytes:
    text = await db.fetchval(_FIRST_RESULTS, job_id, limit)
    return (text or "[]").encode()
