"""A ledger with very many rows, made by the database itself.

A tenant `small` has three jobs beside all the others'. Of the states most are rare; some accounts
are leased; one job has a tenth of all accounts, of which a tenth failed. Jobs have their ids in an
order that is not that of their creation.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from importlib import import_module

import asyncpg

BIG = "job_big"
_SCATTER = 2654435761  # prime to the powers of ten
_MIGRATION = import_module("botrix.ledger.migrations.versions.0007_lists")
_JOBS = """
INSERT INTO jobs (id, tenant_id, status, source, lane, directory, stage, waits, undoes, count,
  next_index, created, existing, failed, cancelled, deleted, created_at, updated_at, finished_at)
SELECT id, CASE WHEN n - {half} IN (0, 1, 2) THEN 'small' ELSE 'default' END, status, 'generate',
  'normal', 'd' || (n % 5), CASE WHEN n % 1000 = 13 THEN 'remove' WHEN n % 10000 = 17 THEN 'plan'
  ELSE 'create' END, CASE WHEN n % 10000 = 17 THEN 'plan' END,
  CASE WHEN n % 1000 = 13 THEN 'job_' || (n / 10000) END, 9,
  CASE WHEN status = 'pending' THEN 0 ELSE 9 END,
  CASE WHEN status IN ('pending', 'running') THEN 0 WHEN status = 'cancelled' THEN 5
  WHEN n % 1000 IN (3, 5, 7) THEN 8 ELSE 9 END,
  CASE WHEN status = 'completed' AND n % 1000 = 3 THEN 1 ELSE 0 END,
  CASE WHEN status = 'failed' THEN 1 ELSE 0 END, CASE WHEN status = 'cancelled' THEN 4 ELSE 0 END,
  CASE WHEN status = 'completed' AND n % 1000 = 5 THEN 1 ELSE 0 END, 1700000000 + n, 0,
  CASE WHEN status NOT IN ('pending', 'running') THEN 1700000000 + n END
FROM ({jobs}) j
"""
_ACCOUNTS = """
INSERT INTO accounts (job_id, idx, tenant_id, status, username, email, given_name, family_name,
  display_name, sealed, session_id, reason, attempt, updated_at)
SELECT id, i, tenant, status, username, username || '@botrix.invalid', 'Given', 'Family',
  'Given Family', {sealed}, CASE WHEN status = 'leased' THEN 's1' END,
  CASE WHEN status = 'failed' THEN reason END, 1, 0
FROM (SELECT id, i, CASE WHEN n - {half} IN (0, 1, 2) THEN 'small' ELSE 'default' END AS tenant,
        CASE WHEN status = 'running' THEN CASE WHEN i < 5 THEN 'leased' WHEN i = 5 THEN 'unsure'
             ELSE 'planned' END
             WHEN status = 'failed' AND i = 0 THEN 'failed'
             WHEN status = 'cancelled' AND i >= 5 THEN 'cancelled'
             WHEN status = 'completed' AND n % 1000 = 3 AND i = 1 THEN 'existing'
             WHEN status = 'completed' AND n % 1000 = 5 AND i = 2 THEN 'deleted'
             ELSE 'created' END AS status,
        'rejected' AS reason, {username} AS username
      FROM ({jobs}) j, ({nine}) i WHERE status <> 'pending') a
UNION ALL
SELECT 'job_big', i, 'default', CASE WHEN i % 10 = 3 THEN 'failed' ELSE 'created' END, {bigname},
  'e', 'Given', 'Family', 'Given Family', {sealed}, NULL,
  CASE WHEN i % 10 = 3 THEN CASE WHEN i % 1000 = 33 THEN 'timeout' WHEN i % 100 = 73
  THEN 'conflict' ELSE 'rejected' END END, 1, 0 FROM ({big}) b
"""
_BIG_JOB = """
INSERT INTO jobs (id, status, source, directory, count, next_index, created, failed, created_at,
  updated_at, finished_at)
VALUES ('job_big', 'failed', 'generate', 'd0', {n}, {n}, {n} - {n} / 10, {n} / 10, 1600000000, 0, 1)
"""
_REST = (
    "INSERT INTO history (job_id, idx, at, what) SELECT 'job_big', i, 0, 'failed' FROM ({big}) b"
    " WHERE i % 10 = 3",
    "INSERT INTO history (job_id, idx, at, what) SELECT id, 0, 0, 'leased' FROM jobs",
    "INSERT INTO bad_rows (job_id, row, reason) SELECT 'job_big', i, 'r' FROM ({big}) b"
    " WHERE i % 10 = 4",
    "INSERT INTO audit (tenant_id, n, at, who, address, what, object, detail, hash)"
    " SELECT 'default', i + 1, 0, 'w', 'a', 'job.submit', 'o', 'd', 'h' FROM ({big}) b",
    "INSERT INTO directories (name, kind, created_at) SELECT 'd' || i, 'simulated', 0"
    " FROM ({nine}) i WHERE i < 5",
    "INSERT INTO keys (id, name, role, digest, created_at) SELECT 'k' || i, 'n', 'reader', 'd', 0"
    " FROM ({nine}) i",
    "INSERT INTO sessions (id, worker_id, host, pid, version, started_at)"
    " VALUES ('s1', 'w', 'h', 1, '0', 0)",
)
_STATUS = (
    "CASE WHEN n >= {pending} THEN 'pending' WHEN n % 2500 = 19 THEN 'running'"
    " WHEN n % 1000 = 7 THEN 'failed' WHEN n % 10000 = 11 THEN 'cancelled' ELSE 'completed' END"
)


def _statements(jobs: int, series: str, hexadecimal: str, sealed: str, few: str) -> list[str]:
    """series: of n and k below `jobs`; hexadecimal: of a number; few: numbers 0 to {most}."""
    status = _STATUS.format(pending=jobs - max(jobs // 1000, 1))
    names = "annabelacarldoraemilfinnginahugoidakjana"

    def name(number: str) -> str:
        scattered = f"(({number}) * {_SCATTER} % 4294967296)"
        first = f"substr('{names}', ({scattered} % 10)::int * 4 + 1, 4)"
        return f"{first} || '.family.' || {hexadecimal.format(scattered, 8)}"

    values = {
        "jobs": f"SELECT n, 'job_' || {hexadecimal.format('k', 32)} AS id, {status} AS status"
        f" FROM ({series}) s",
        "half": jobs // 2,
        "n": jobs,
        "sealed": sealed,
        "nine": few.format(most=8),
        "big": few.format(most=jobs - 1),
        "username": name("n * 9 + i"),
        "bigname": name(f"{9 * jobs} + i"),
    }
    return [sql.format(**values) for sql in (_JOBS, _BIG_JOB, _ACCOUNTS, *_REST)]


def fill_sqlite(path: str, jobs: int) -> dict[str, float]:
    """Seconds that each index of accounts took."""
    inverse = pow(_SCATTER, -1, jobs)
    count = "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < {most})"
    few = count + " SELECT i FROM c"
    series = f"SELECT (k * {inverse}) % {jobs} AS n, k FROM ({few.format(most=jobs - 1)}) k"
    series = series.replace("SELECT i FROM c", "SELECT i AS k FROM c")
    statements = _statements(jobs, series, "printf('%0{1}x', {0})", "zeroblob(53)", few)
    took = {}
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = -500000")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA journal_mode = OFF")  # a log of all that would be as large again
        made = _MIGRATION.statements("sqlite")
        for name in made:
            db.execute(f"DROP INDEX {name}")
        for sql in statements:
            db.execute(sql.replace("::int", ""))
        for name, sql in made.items():
            began = time.monotonic()
            db.execute(sql)
            took[name] = time.monotonic() - began
        db.execute("PRAGMA journal_mode = WAL")
    return took


async def fill_postgres(url: str, jobs: int) -> dict[str, float]:
    """As above; built concurrently, as an upgrade does."""
    few = "SELECT i FROM generate_series(0::bigint, {most}) i"
    series = f"SELECT n, n * {_SCATTER} % {jobs} AS k FROM generate_series(0::bigint, {jobs - 1}) n"
    constant = r"'\x" + "00" * 53 + "'::bytea"
    hexadecimal = "lpad(to_hex({0}), {1}, '0')"
    statements = _statements(jobs, series, hexadecimal, constant, few)
    took = {}
    db = await asyncpg.connect(url)
    try:
        for name in _MIGRATION.ahead:
            await db.execute(f"DROP INDEX {name}")
        await db.execute("SET session_replication_role = replica")  # keys to others are good
        await db.execute("ALTER TABLE jobs ENABLE ALWAYS TRIGGER jobs_tallied_at_insert")
        for sql in statements:
            await db.execute(sql)
        for name, sql in _MIGRATION.ahead.items():
            began = time.monotonic()
            await db.execute(sql)
            took[name] = time.monotonic() - began
        await db.execute("CHECKPOINT")
    finally:
        await db.close()
    return took
