"""The hot verbs on SQLite, each on an open transaction; the claim has a file of its own."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from botrix.extra import packed_groups
from botrix.ledger.ledger import (
    DirectoryRow,
    Recorded,
    Submission,
    Submitted,
)
from botrix.ledger.notes import Note, of_result
from botrix.ledger.quotas import COUNTED, LIMITED, QUOTA_COLUMNS, Quota
from botrix.ledger.slices import OWN, JobRow
from botrix.ledger.sqlite_audit import note_acts
from botrix.ledger.sqlite_history import note
from botrix.ledger.sqlite_rows import as_json, read, write
from botrix.ledger.sqlite_sessions import require_live
from botrix.ledger.sqlite_settling import AGAIN, Tally, settle
from botrix.ledger.sqlite_turns import keep_looks, take_turns
from botrix.ledger.turns import Turn, turned
from botrix.model import LeasedAccount, NewJob, Person, Result
from botrix.states import (
    AccountStatus,
    Happening,
    JobStatus,
)

_JOBS = (
    "SELECT json_group_array(json_array({}))"
    " FROM json_each(?) u CROSS JOIN jobs j WHERE j.id = u.value"
)
INSERT_JOBS = (
    "INSERT INTO jobs (id, tenant_id, source, lane, directory, template, tries, count, groups,"
    " traceparent, place, created_at, updated_at) VALUES {}"
)
JOB_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_USED = (
    "SELECT json_group_array(json_array(k.tenant_id, k.key, k.job_id, k.fingerprint))"
    " FROM json_each(?) u CROSS JOIN idempotency_keys k"
    " WHERE k.tenant_id = u.value ->> 0 AND k.key = u.value ->> 1"
)
_KEYS = "INSERT INTO idempotency_keys (tenant_id, key, fingerprint, job_id, created_at) VALUES {}"
_KEY_ROW = "(?, ?, ?, ?, ?)"
_RUN = (
    "UPDATE jobs SET stage = ?, reach = ?, gate = ?, max_failures = ?, on_conflict = ?,"
    " not_before = ?, place = ?, due_at = ? WHERE id = ?"
)
_THOSE_OF = (
    "SELECT json_group_array(j.id) FROM json_each(?) u CROSS JOIN jobs j"
    " WHERE j.id = u.value AND j.tenant_id = ?"
)
_QUOTAS = (
    f"SELECT json_group_array(json_array({QUOTA_COLUMNS})) FROM json_each(?) u"
    f" CROSS JOIN tenants t WHERE t.id = u.value AND {LIMITED}"
)
_OPEN_JOBS = (
    "SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY ix_jobs_open WHERE tenant_id = ?"
    f" AND {COUNTED} LIMIT ?)"
)
_RENAME = (
    "UPDATE accounts SET username = ?, email = ?, given_name = ?, family_name = ?,"
    " display_name = ?, updated_at = ? WHERE job_id = ? AND idx = ? AND session_id = ?"
    " AND attempt = ? AND status = 'leased'"
)
_RECORD = (
    "UPDATE accounts SET status = r.status, session_id = NULL,"
    " entry_id = coalesce(r.entry_id, accounts.entry_id), reason = r.reason, detail = r.detail,"
    " not_before = r.not_before, tries = tries + r.counted, updated_at = r.now,"
    " in_doubt = max(accounts.in_doubt, r.in_doubt)"
    " FROM (WITH r (status, entry_id, reason, detail, not_before, counted, now, in_doubt, job_id,"
    " idx, attempt, session) AS (VALUES {}) SELECT * FROM r) r"
    " WHERE accounts.job_id = r.job_id AND accounts.idx = r.idx AND accounts.attempt = r.attempt"
    " AND +accounts.session_id = r.session AND +accounts.status = 'leased'"
)
_RECORD_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_CREATED = (
    "UPDATE accounts SET status = 'created', session_id = NULL, updated_at = ?,"
    " entry_id = coalesce(r.entry_id, accounts.entry_id), reason = NULL, detail = NULL,"
    " not_before = 0.0, tries = tries + 1"
    " FROM (WITH r (entry_id, job_id, idx, attempt) AS (VALUES {}) SELECT * FROM r) r"
    " WHERE accounts.job_id = r.job_id AND accounts.idx = r.idx AND accounts.attempt = r.attempt"
    " AND +accounts.session_id = ? AND +accounts.status = 'leased'"
)
"""Likewise, of those that were created, and nothing more is to be said of them, as of most."""
_FIRST_RESULTS = (
    "SELECT json_group_array(json_object('index', idx, 'username', username, 'status', status,"
    " 'reason', reason)) FROM (SELECT idx, username, status, reason FROM accounts"
    " WHERE job_id = ? ORDER BY idx LIMIT ?)"
)


def job_row(job: NewJob, place: int | None, now: float) -> tuple[Any, ...]:
    return (
        job.id, job.tenant_id, job.source, job.lane, job.directory, job.template, job.tries,
        job.count, packed_groups(job.groups), job.traceparent, place, now, now,
    )  # fmt: skip


def job_rows(db: sqlite3.Connection, ids: Sequence[str], columns: str = OWN) -> dict[str, JobRow]:
    """Of those there are."""
    sql = _JOBS.format(columns)
    return {row.id: row for row in read(db, sql, (as_json(ids),), list[JobRow])}


def next_places(db: sqlite3.Connection, n: int) -> range:
    if n == 0:
        return range(0)
    raised = "UPDATE counters SET value = value + ? WHERE name = 'place' RETURNING value"
    last = int(db.execute(raised, (n,)).fetchone()[0])
    return range(last - n + 1, last + 1)


def submit(
    db: sqlite3.Connection, submissions: Sequence[Submission], now: float
) -> list[Submitted]:
    """What came before is answered as then; who is refused has not used the key."""
    quotas = _quotas(db, {one.job.tenant_id for one in submissions})
    used = _used(db, [one for one in submissions if one.key is not None])
    entering: list[Submission] = []
    answers: dict[str, Submitted] = {}
    for one in submissions:
        quota = quotas.get(one.job.tenant_id)
        answer = _earlier(one, used) or (quota.enter(one.job, now) if quota is not None else None)
        if answer is not None:
            answers[one.job.id] = answer
            continue
        entering.append(one)
        if one.key is not None:
            used[one.job.tenant_id, one.key] = (one.job.id, one.fingerprint)
    answers |= _enter(db, entering, now)
    for quota in quotas.values():
        if quota.accounts_per_day is not None:
            db.execute(
                "UPDATE tenants SET day = ?, accounts_today = ? WHERE id = ?",
                (quota.day, quota.accounts_today, quota.id),
            )
    return [answers[one.job.id] for one in submissions]


_Used = dict[tuple[str, str], tuple[str, str]]
"""By tenant and key: the job that came of it, and the fingerprint of what was asked."""


def _used(db: sqlite3.Connection, keyed: Sequence[Submission]) -> _Used:
    if not keyed:
        return {}
    pairs = as_json([(one.job.tenant_id, one.key) for one in keyed])
    rows = read(db, _USED, (pairs,), list[tuple[str, str, str, str]])
    return {(tenant, key): (job, fingerprint) for tenant, key, job, fingerprint in rows}


def _earlier(one: Submission, used: _Used) -> Submitted | None:
    if one.key is None or (before := used.get((one.job.tenant_id, one.key))) is None:
        return None
    clash = before[1] != one.fingerprint
    return Submitted(before[0], replay=not clash, clash=clash)


def _enter(
    db: sqlite3.Connection, entering: Sequence[Submission], now: float
) -> dict[str, Submitted]:
    """By job id."""
    placed = list(zip(entering, next_places(db, len(entering)), strict=True))
    write(db, INSERT_JOBS, JOB_ROW, [job_row(one.job, place, now) for one, place in placed])
    keyed = [
        (one.job.tenant_id, one.key, one.fingerprint, one.job.id, now)
        for one in entering
        if one.key is not None
    ]
    write(db, _KEYS, _KEY_ROW, keyed)
    note_acts(db, [(one.act, one.actor) for one in entering], now)
    found = {}
    for one, place in placed:
        at = place if one.job.is_plain else _run(db, one.job, place, now)
        found[one.job.id] = Submitted(one.job.id, at, at=now)
    return found


def _quotas(db: sqlite3.Connection, tenants: Collection[str]) -> dict[str, Quota]:
    """Of those tenants that have any."""
    quotas = read(db, _QUOTAS, (as_json(list(tenants)),), list[Quota])
    for quota in quotas:
        if quota.open_jobs is not None:
            (quota.open,) = db.execute(_OPEN_JOBS, (quota.id, quota.open_jobs)).fetchone()
    return {quota.id: quota for quota in quotas}


def _run(db: sqlite3.Connection, job: NewJob, place: int, now: float) -> int | None:
    """How it is to be run. Its place, which it has none yet where it begins later."""
    later = job.not_before if job.not_before is not None and job.not_before > now else None
    now_at = place if later is None else None
    db.execute(
        _RUN,
        (
            job.stage, job.reach, job.gate, job.max_failures, job.on_conflict, job.not_before,
            now_at, later, job.id,
        ),
    )  # fmt: skip
    return now_at


def rename(
    db: sqlite3.Connection, session: str, account: LeasedAccount, person: Person, now: float
) -> bool:
    require_live(db, session)
    key = (account.job_id, account.index, session, account.attempt)
    if db.execute(_RENAME, (*_names(person), now, *key)).rowcount != 1:
        return False
    detail = f"from {account.person.username} to {person.username}"
    what = (Happening.RENAMED, account.attempt, session, "name taken", detail)
    note(db, [Note(account.job_id, account.index, *what)], now)
    return True


def _names(person: Person) -> tuple[str, ...]:
    return (
        person.username, person.email, person.given_name, person.family_name, person.display_name,
    )  # fmt: skip


def record(db: sqlite3.Connection, session: str, results: Sequence[Result], now: float) -> Recorded:
    """Compare-and-set on session and attempt; the counters move by the rows that matched."""
    require_live(db, session)
    jobs = job_rows(db, list({result.job_id for result in results}))
    rows = [
        None if one.is_plain else _row(one, jobs.get(one.job_id), session, now) for one in results
    ]
    db.execute("SAVEPOINT flush")
    stale: list[int] = []
    if _write(db, session, results, rows, now) < len(rows):
        db.execute("ROLLBACK TO flush")  # some were not ours any more: find out which
        for n, one in enumerate(results):
            row = _row(one, jobs.get(one.job_id), session, now)
            if not write(db, _RECORD, _RECORD_ROW, [row]):
                stale.append(n)
    db.execute("RELEASE flush")
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    notes, missed = [], set(stale)
    for n, (told, result) in enumerate(zip(rows, results, strict=True)):
        if n in missed:
            continue
        if told is None:
            tallies[result.job_id].count(result.status, 0.0)
            continue
        tallies[result.job_id].count(told[0], told[4], result)
        if result.reason or told[0] not in _SILENT:
            notes.append(of_result(result, told[0], session))
    note(db, notes, now)
    states = settle(db, [(jobs[job_id], tally) for job_id, tally in tallies.items()], now)
    if any(result.guarded for result in results):
        done = [one for n, one in enumerate(results) if n not in missed]
        states = turned(states, _guard(db, done, jobs, now))
    return Recorded(
        len(rows) - len(stale), [(results[n].job_id, results[n].index) for n in stale], states
    )


def _guard(
    db: sqlite3.Connection, done: Sequence[Result], jobs: Mapping[str, JobRow], now: float
) -> list[Turn]:
    """What was looked at is noted; jobs turn where their numbers say so."""
    keep_looks(db, [one for one in done if one.look], now)
    return take_turns(db, [job.id for job in jobs.values() if job.guarded], now)


def refused(db: sqlite3.Connection, session: str, results: Sequence[Result], now: float) -> None:
    note(db, [of_result(one, Happening.REFUSED, session) for one in results], now)


def _write(
    db: sqlite3.Connection,
    session: str,
    results: Sequence[Result],
    rows: Sequence[tuple[Any, ...] | None],
    now: float,
) -> int:
    """How many were still ours. rows: None for those that are plain."""
    pairs = zip(results, rows, strict=True)
    plain = [
        (one.entry_id, one.job_id, one.index, one.attempt) for one, row in pairs if row is None
    ]
    ours = write(db, _CREATED, "(?, ?, ?, ?)", plain, before=(now,), after=(session,))
    return ours + write(db, _RECORD, _RECORD_ROW, [row for row in rows if row is not None])


_SILENT = (AccountStatus.CREATED, AccountStatus.PLANNED)
"""What needs no note, unless there is a reason."""


def _row(result: Result, job: JobRow | None, session: str, now: float) -> tuple[Any, ...]:
    status = result.status
    if status is AccountStatus.PLANNED and job is not None and job.status == JobStatus.CANCELLING:
        status = AccountStatus.CANCELLED
    return (
        status, result.entry_id, result.reason, result.detail,
        now + result.delay if status in AGAIN else 0.0, int(result.counted), now,
        int(result.in_doubt), result.job_id, result.index, result.attempt, session,
    )  # fmt: skip


def those_of(db: sqlite3.Connection, tenant_id: str, jobs: Collection[str]) -> set[str]:
    return set(read(db, _THOSE_OF, (as_json(list(jobs)), tenant_id), list[str]))


def directory(db: sqlite3.Connection, tenant_id: str, name: str) -> DirectoryRow | None:
    row = db.execute(
        "SELECT kind, config, secrets, policy FROM directories WHERE tenant_id = ? AND name = ?",
        (tenant_id, name),
    ).fetchone()
    return None if row is None else DirectoryRow(*row)


def first_results(db: sqlite3.Connection, job_id: str, limit: int) -> bytes:
    return str(db.execute(_FIRST_RESULTS, (job_id, limit)).fetchone()[0]).encode()
