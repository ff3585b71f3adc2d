"""On filled tables, every hot statement finds its rows by an index: none reads a table through."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from botrix.breaker import Window
from botrix.ledger import (
    postgres_audit,
    postgres_claim,
    postgres_dispatch,
    postgres_entering,
    postgres_governing,
    postgres_keeping,
    postgres_looks,
    postgres_reconcile,
    postgres_removal,
    postgres_sessions,
    postgres_verbs,
    sqlite_claim,
    sqlite_dispatch,
    sqlite_governing,
    sqlite_keeping,
    sqlite_looks,
    sqlite_reconcile,
    sqlite_removal,
    sqlite_sessions,
    sqlite_verbs,
)
from botrix.ledger.governing import Report
from botrix.ledger.keeping import Rule
from botrix.ledger.ledger import Asked, Found, Room, Submission
from botrix.ledger.migrate import upgrade
from botrix.ledger.postgres import _PLANNER
from botrix.model import Lane, NewJob, Person, PlannedAccount, Result, Source
from botrix.states import AccountStatus, Prospect
from botrix.throttle import Observed
from tests.servers.postgres import PostgresServer

# 20,000 jobs of which some stand in the line or are due, 10 accounts each, of every kind.
_FILL = (
    "INSERT INTO jobs (id, status, source, lane, directory, count, next_index, created, failed,"
    " place, due_at, look_at, finished_at, created_at, updated_at) SELECT 'j' || n, CASE"
    " WHEN n % 100 = 0 THEN 'failed' WHEN n % 10 < 7 THEN 'completed' ELSE 'running' END,"
    " 'generate', 'normal', 'local', CASE WHEN n % 10 < 7 THEN 10 ELSE 20 END, 10,"
    " CASE WHEN n % 100 = 0 THEN 8 ELSE 10 END, CASE WHEN n % 100 = 0 THEN 2 ELSE 0 END,"
    " CASE WHEN n % 10 = 8 THEN n END, CASE WHEN n % 10 = 9 THEN n END,"
    " CASE WHEN n % 100 = 0 THEN n END, CASE WHEN n % 100 = 0 THEN n END, 0, 0 FROM {series}",
    "INSERT INTO accounts (job_id, idx, status, username, email, given_name, family_name,"
    " display_name, sealed, session_id, attempt, crashes, reason, updated_at) SELECT 'j' || s.n,"
    " i.n, CASE WHEN s.n % 100 = 0 AND i.n < 2 THEN 'failed' WHEN s.n % 10 < 7 THEN 'created'"
    " WHEN i.n < 3 THEN 'leased' WHEN i.n < 5 THEN 'unsure' ELSE 'planned' END,"
    " 'u', 'e', 'g', 'f', 'd', NULL,"
    " CASE WHEN s.n % 10 >= 7 AND i.n < 3 THEN 's' || (s.n % 3) END, 1,"
    " CASE WHEN s.n % 100 = 8 AND i.n = 4 THEN 2 ELSE 0 END, 'r', 0 FROM {series}, {ten}",
    "INSERT INTO sessions (id, worker_id, host, pid, version, status, started_at, ended_at)"
    " SELECT 's' || n, 'w', 'h', 1, '0', CASE WHEN n = 1 THEN 'lost' WHEN n < 4 THEN 'live'"
    " ELSE 'ended' END, 0, CASE WHEN n = 1 OR n > 3 THEN 0 END FROM {series}",
    "INSERT INTO tenants (id, open_jobs, accounts_per_day, created_at) VALUES ('a', 40, 45, 0)",
    "INSERT INTO jobs (id, tenant_id, source, lane, directory, count, place, created_at,"
    " updated_at) SELECT 'a' || n, 'a', 'generate', 'low', 'local', 1, 20000 + n, 0, 0"
    " FROM {series} WHERE n < 10",
    "INSERT INTO jobs (id, status, source, lane, directory, count, next_index, stage, undoes,"
    " created_at, updated_at) VALUES ('u', 'running', 'generate', 'normal', 'local', 10, 10,"
    " 'remove', 'j7', 0, 0)",
    "INSERT INTO accounts (job_id, idx, row, status, username, email, given_name, family_name,"
    " display_name, session_id, attempt, updated_at) SELECT 'u', i.n, i.n, 'leased', 'u' || i.n,"
    " 'e', 'g', 'f', 'd', 's0', 1, 0 FROM {ten}",
    "INSERT INTO jobs (id, status, source, lane, directory, count, next_index, stage, place,"
    " created_at, updated_at) VALUES ('p', 'running', 'import', 'normal', 'local', 10, 10, 'plan',"
    " 40000, 0, 0)",
    "INSERT INTO accounts (job_id, idx, row, username, email, given_name, family_name,"
    " display_name, updated_at) SELECT 'p', i.n, i.n, 'u' || i.n, 'e', 'g', 'f', 'd', 0 FROM {ten}",
    "UPDATE jobs SET status = 'failed', created = 10, failed = 10, count = 20 WHERE id = 'j7'",
    "UPDATE accounts SET status = 'created', session_id = NULL WHERE job_id = 'j7'",
)


def _plan(
    tenant: str, job: str, template: str | None, indexes: range, policy: str | None
) -> list[PlannedAccount]:
    person = Person("u", "e", "g", "f", "d")
    return [PlannedAccount(job, index, person, b"sealed") for index in indexes]


_ENTRIES = [Asked(f"j{n}", n) for n in range(1008, 3008, 10)]
_RAW = [Asked(f"raw{n}", raw=NewJob(f"raw{n}", 1, Source.RAW)) for n in range(20)]
_RESULTS = [
    Result(f"j{n}", 0, 1, AccountStatus.CREATED, entry_id="x") for n in range(3009, 6009, 30)
]
_REMOVED = [Result("u", n, 1, AccountStatus.DELETED) for n in range(10)]
_LOOKED = [Result("p", n, 0, AccountStatus.PLANNED) for n in range(10)]
_NEW = [Submission(NewJob(f"new{n}", 1), f"key{n}", "print") for n in range(50)]
_LIMITED = [Submission(NewJob(f"of-a{n}", 1, tenant_id="a"), f"key{n}", "print") for n in range(50)]
_WAITING = {"a": 40, "default": 32}
_RULE = Rule(30, 30)
_FAILING = Report("default", "local", 1, 9, Observed(), Window(fatal="credentials refused"))
_SEEN = {f"j{n}": n for n in range(8008, 9008, 10)}


@pytest.mark.suite("SQLite")
async def test_plans_on_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    await asyncio.to_thread(upgrade, f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        ten = "(SELECT value AS n FROM json_each('[0,1,2,3,4,5,6,7,8,9]')) i"
        series = (
            "(WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 19999)"
            " SELECT n FROM c) s"
        )
        for statement in _FILL:
            db.execute(statement.format(series=series, ten=ten))
        statements: set[str] = set()
        db.set_trace_callback(statements.add)
        _every_verb_on_sqlite(db)
        db.set_trace_callback(None)
        scans = [
            (step["detail"], sql)
            for sql in statements
            if not sql.startswith("--")
            for step in db.execute(f"EXPLAIN QUERY PLAN {sql}")
            if re.match(r"SCAN (jobs|accounts|sessions|a|j|s)\b", step["detail"])
            and "ix_accounts_session" not in step["detail"]  # holds what is leased now, no more
        ]
    assert len(statements) > 300
    assert scans == []


def _every_verb_on_sqlite(db: sqlite3.Connection) -> None:
    now = 1e9
    sqlite_verbs.submit(db, _NEW, now)
    done = sqlite_verbs.submit(db, _LIMITED, now)
    assert sum(one.place is not None for one in done) == 30
    assert sqlite_dispatch.several_tenants(db)
    assert sqlite_dispatch.open_jobs(db, 500) == 500
    waiting = sqlite_dispatch.waiting(db, "", 32, 32)
    assert {tenant: len(placed) for tenant, placed in waiting.items()} == _WAITING
    sqlite_claim.claim(db, "s0", [*_ENTRIES, *_RAW], Room(2000), _plan, now)
    sqlite_claim.held(db, "s0")
    (place,) = db.execute("SELECT place FROM jobs WHERE id = 'p'").fetchone()
    walked = sqlite_claim.claim(db, "s0", [Asked("p", place)], Room(500), _plan, now)
    assert len(walked.accounts) == 10
    seen = [replace(one, loose=True, look=1, prospect=Prospect.CREATE) for one in _LOOKED]
    assert sqlite_looks.record_with_looks(db, "s0", seen, now).accepted == 10
    sqlite_verbs.record(db, "s0", _RESULTS, now)
    assert sqlite_removal.record_with_removals(db, "s0", _REMOVED, now).accepted == 10
    taken = db.execute("SELECT created, deleted FROM jobs WHERE id = 'j7'").fetchone()
    assert tuple(taken) == (0, 10)
    sqlite_sessions.renew(db, "s0")
    sqlite_sessions.peers(db)
    sqlite_sessions.lost_sessions(db, now)
    sqlite_dispatch.free(db, 500, now)
    sqlite_claim.claim_suspect(db, "s3", now)
    job = sqlite_reconcile.look_again(db, "s3", 1.0, now)
    assert job is not None
    (late, *_) = sqlite_reconcile.provisional(db, job.job_id, -1, 100)
    assert sqlite_reconcile.landed(db, "s3", [Found(late)], now).accepted == 1
    sqlite_reconcile.looked_again(db, "s3", job, now, done=True)
    sqlite_dispatch.due(db, 500, now)
    key = ("default", "local")
    sqlite_governing.govern(db, "s3", [_FAILING], now)
    sqlite_governing.hold(db, [(f"j{n}", *key) for n in range(100, 200)], now)
    assert sqlite_governing.any_probe_due(db, now + 9)
    assert sqlite_governing.due_probe(db, now + 9) == key
    sqlite_governing.probed(db, *key, "", 60.0, now + 9)
    assert sqlite_governing.to_release(db)
    assert not sqlite_governing.release(db, 500, now)
    assert sqlite_governing.standing(db, *key, now) is not None
    sqlite_dispatch.fetch(db, 500)
    sqlite_dispatch.passed_by(db, Lane.NORMAL, 5000, 500)
    sqlite_dispatch.put_back(db, _SEEN, now)
    sqlite_verbs.first_results(db, "j7", 1000)
    sqlite_verbs.directory(db, "default", "local")
    (outlived, *_) = sqlite_keeping.outlived_passwords(db, _RULE, None, 100, now)
    assert sqlite_keeping.outlived_jobs(db, _RULE, outlived, 100, now)
    assert sqlite_keeping.erase(db, outlived, range(10)) is not None
    assert sqlite_keeping.erased(db, outlived, now)
    assert sqlite_keeping.purge(db, outlived, range(10), now) == 10
    assert sqlite_keeping.remove(db, outlived, 100, now)


class _Explaining:
    """A connection that notes the indexes of every statement before it runs it."""

    def __init__(self, db: asyncpg.Connection[asyncpg.Record]) -> None:
        self._db = db
        self.scans: list[tuple[str, str]] = []
        self.seen: dict[str, set[str]] = {}

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        async def run(sql: str, *values: Any) -> Any:
            await self._db.execute(f"PREPARE it AS {sql}")
            nulls = ", ".join(["NULL"] * len(values))
            call = f"it ({nulls})" if values else "it"
            text = await self._db.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE {call}")
            await self._db.execute("DEALLOCATE it")
            self._note(sql, json.loads(text)[0]["Plan"])
            return await getattr(self._db, verb)(sql, *values)

        return run

    def _note(self, sql: str, step: dict[str, Any]) -> None:
        if step["Node Type"] == "Seq Scan":
            self.scans.append((step["Relation Name"], sql))
        if step.get("Index Name") == "pk_accounts" and "Index Cond" not in step:
            self.scans.append(("accounts", sql))  # all of it, in the order of its key
        if "Index Name" in step:
            self.seen.setdefault(sql, set()).add(step["Index Name"])
        for inner in step.get("Plans", ()):
            self._note(sql, inner)


@pytest.mark.suite("PostgreSQL")
@pytest.mark.parametrize("analysed", ["while empty", "when filled"])
async def test_plans_on_postgres(postgres_server: PostgresServer, analysed: str) -> None:
    url = await postgres_server.database()
    db = await asyncpg.connect(url, server_settings=_PLANNER)
    try:
        if analysed == "while empty":
            await db.execute("VACUUM ANALYZE")
        for statement in _FILL:
            series, ten = "generate_series(0, 19999) s(n)", "generate_series(0, 9) i(n)"
            await db.execute(statement.format(series=series, ten=ten))
        if analysed == "when filled":
            await db.execute("VACUUM ANALYZE")
        explaining = _Explaining(db)
        await _every_verb_on_postgres(explaining)
    finally:
        await db.close()
    assert [sql for table, sql in explaining.scans if table not in _FEW] == []  # they are few
    by_key = {"pk_jobs", "pk_accounts", "pk_sessions", "pk_directories", "pk_throttles"}
    for sql, extra in _INDEXES_BESIDE_KEYS.items():
        assert explaining.seen[sql] - by_key == extra, sql
    others = [sql for sql in explaining.seen if sql not in _INDEXES_BESIDE_KEYS]
    assert len(others) > 10


_ONE_BIG_JOB = (
    "INSERT INTO jobs (id, status, source, directory, count, next_index, stage, created_at,"
    " updated_at) VALUES ('big', 'running', 'import', 'local', 20000, 20000, 'plan', 0, 0)",
    "INSERT INTO accounts (job_id, idx, row, username, email, given_name, family_name,"
    " display_name, updated_at) SELECT 'big', n, n, 'u' || n, 'e', 'g', 'f', 'd', 0"
    " FROM generate_series(0, 19999) n",
)


@pytest.mark.suite("PostgreSQL")
@pytest.mark.parametrize("analysed", ["while empty", "when filled"])
async def test_a_look_at_a_few_of_a_big_job_reads_no_others(
    postgres_server: PostgresServer, analysed: str
) -> None:
    """A ledger of one roster alone is told apart by no job's id, so that a range would be read
    through."""
    db = await asyncpg.connect(await postgres_server.database(), server_settings=_PLANNER)
    try:
        fill = ("VACUUM ANALYZE", *_ONE_BIG_JOB)
        for statement in fill if analysed == "while empty" else (*_ONE_BIG_JOB, "VACUUM ANALYZE"):
            await db.execute(statement)
        explaining = _Explaining(db)
        await explaining.fetch(postgres_claim.WALK, ["big"], [9000], [0])
        await explaining.fetch(postgres_looks.LOOKED, ["big"], [9000], [9499], [1], ["create"])
    finally:
        await db.close()
    assert explaining.scans == []


_FEW = ("tenants", "throttles")
_OPEN = {"ix_accounts_open"}
_INDEXES_BESIDE_KEYS: dict[str, set[str]] = {
    postgres_verbs.RECORD: set(),
    postgres_dispatch.PLACE: set(),
    postgres_dispatch.LOCK_JOBS: set(),
    postgres_dispatch.DUE: {"ix_jobs_due"},
    postgres_dispatch.OPEN_JOBS: {"ix_jobs_open"},
    postgres_dispatch.PASSED_BY: {"ix_jobs_line"},
    postgres_dispatch.WAITING: {"ix_jobs_waiting"},
    postgres_verbs.LOCK_TENANTS: {"pk_tenants"},
    postgres_entering.ENTER: {"pk_tenants"},
    postgres_verbs.OPEN_JOBS: {"ix_jobs_open"},
    postgres_audit.NOTE_ACTS: {"pk_tenants"},
    postgres_reconcile.OLDEST: {"ix_jobs_look"},
    postgres_reconcile.PROVISIONAL: set(),
    postgres_removal.UNDOES: set(),
    postgres_removal.LOCK: set(),
    postgres_removal.REMOVED: set(),
    postgres_claim.LOCK: set(),
    postgres_claim.LEASE: set(),
    postgres_claim.WALK: set(),
    postgres_looks.LOOKED: set(),
    postgres_claim.OPEN_ACCOUNTS: _OPEN,
    postgres_claim.MOVE: _OPEN,
    postgres_claim.HELD: {"ix_accounts_session"},
    postgres_claim.SUSPECT: {"ix_accounts_suspect"},
    postgres_governing.RELEASE: {"ix_jobs_held"},
    postgres_keeping.OUTLIVED_PASSWORDS: {"ix_jobs_kept", "pk_tenants"},
    postgres_keeping.OUTLIVED_JOBS: {"ix_jobs_tenant"},
}


async def _every_verb_on_postgres(db: Any) -> None:
    await postgres_verbs.submit(db, _NEW)
    assert await postgres_entering.Entering().enter(db, [Submission(NewJob("at once", 1))])
    done = await postgres_verbs.submit(db, _LIMITED)
    assert sum(one.place is not None for one in done) == 30
    assert await postgres_dispatch.several_tenants(db)
    assert await postgres_dispatch.open_jobs(db, 500) == 500
    waiting = await postgres_dispatch.waiting(db, "", 32, 32)
    assert {tenant: len(placed) for tenant, placed in waiting.items()} == _WAITING
    await postgres_claim.claim(db, "s0", [*_ENTRIES, *_RAW], Room(2000), _plan)
    await postgres_claim.held(db, "s0")
    assert len(await db.fetch(postgres_claim.WALK, ["p"], [0], [0])) == 10
    seen = [replace(one, loose=True, look=1, prospect=Prospect.CREATE) for one in _LOOKED]
    assert (await postgres_looks.record_with_looks(db, "s0", seen)).accepted == 10
    recorded = await postgres_verbs.record(db, "s0", _RESULTS)
    assert recorded.accepted == len(_RESULTS)
    recorded = await postgres_removal.record_with_removals(db, "s0", _REMOVED)
    assert recorded.accepted == 10
    taken = await db.fetchrow("SELECT created, deleted FROM jobs WHERE id = 'j7'")
    assert tuple(taken) == (0, 10)
    await postgres_sessions.renew(db, "s0")
    await postgres_sessions.peers(db)
    await postgres_sessions.lost_sessions(db)
    assert (await postgres_dispatch.free(db, 500)).more
    assert await postgres_claim.claim_suspect(db, "s3")
    job = await postgres_reconcile.look_again(db, "s3", 1.0)
    assert job is not None
    (late, *_) = await postgres_reconcile.provisional(db, job.job_id, -1, 100)
    assert (await postgres_reconcile.landed(db, "s3", [Found(late)])).accepted == 1
    await postgres_reconcile.looked_again(db, "s3", job, done=True)
    assert (await postgres_dispatch.due(db, 500)).placed
    key = ("default", "local")
    await postgres_governing.govern(db, "s3", [_FAILING])
    await postgres_governing.hold(db, [(f"j{n}", *key) for n in range(100, 200)])
    await db.execute("UPDATE throttles SET probe_at = 0")
    assert await postgres_governing.due_probe(db) == key
    await postgres_governing.probed(db, *key, "", 60.0)
    assert not await postgres_governing.release(db, 500)
    assert await postgres_governing.standing(db, *key) is not None
    await postgres_dispatch.fetch(db, 500)
    await postgres_dispatch.passed_by(db, Lane.NORMAL, 5000, 500)
    assert len(await postgres_dispatch.put_back(db, _SEEN)) == len(_SEEN)
    await postgres_verbs.first_results(db, "j7", 1000)
    await postgres_verbs.directory(db, "default", "local")
    (outlived, *_) = await postgres_keeping.outlived_passwords(db, _RULE, None, 100)
    assert await postgres_keeping.outlived_jobs(db, _RULE, None, 100)
    assert await postgres_keeping.erase(db, outlived, range(10)) is not None
    assert await postgres_keeping.erased(db, outlived)
    assert await postgres_keeping.purge(db, outlived, range(10)) == 10
    assert await postgres_keeping.remove(db, outlived, 100)
