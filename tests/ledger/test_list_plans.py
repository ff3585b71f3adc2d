"""On filled tables every list is read by the index that it is meant to be read by, and reads hardly
more than it shows; and what checks that sees each index that is missing.

The questions are those of the benchmark, so that none is measured whose plan is not looked at.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.lists import asked
from botrix.errors import LedgerDown
from botrix.ledger.queries import Queries
from tests.ledger.seen_plans import (
    ANALYSED,
    JOBS,
    OnPostgres,
    OnSqlite,
    filled_postgres,
    filled_sqlite,
    heard,
)
from tests.servers.postgres import PostgresServer

_INDEX = {
    r"jobs(, middle|, last page| after a time| before a time| of the small tenant)?": "jobs_tenant",
    r"jobs that wait.*": "jobs_waits",
    r"jobs that undo.*": "jobs_undoes",
    r"jobs.*": "jobs_kind",
    r"open jobs.*": "jobs_open",
    r"what ended.*": "jobs_kept",
    r"statistics of jobs.*": "tallies",
    r"statistics of accounts": "accounts_state",
    r"(of a large job: )?accounts.* leased.*": "accounts_session",
    r"accounts (by|of a user).*": "accounts_name",
    r"of a large job: accounts (failed|created|cancelled).*": "accounts_state",
    r"of a large job: accounts of a plan.*": "accounts_prospect",
    r"of a large job: accounts.*": "accounts",
    r"of a large job: (failed for|reasons).*": "accounts_reason",
    r"accounts.*": "accounts_state",
    r"of a large job: rows.*": "bad_rows",
    r"of a large job: history of an account": "history_account",
    r"of a large job: history.*": "history_job",
    r"keys": "keys_tenant",
    r"(directories|audit).*": "",
}
"""The first that fits; without `ix_`, or the table of a primary key."""
_DROPPED = (
    "ix_jobs_kind", "ix_jobs_waits", "ix_jobs_tenant", "ix_jobs_undoes", "ix_accounts_state",
    "ix_accounts_name", "ix_accounts_reason", "ix_accounts_prospect", "ix_history_account",
    "ix_history_job",
)  # fmt: skip


def _wanted(name: str) -> str:
    return next(index for pattern, index in _INDEX.items() if re.fullmatch(pattern, name))


async def _problems(queries: Queries, database: OnSqlite | OnPostgres) -> dict[str, str]:
    """By list: what is wrong with how it is read."""
    found = {}
    with heard(queries) as said:
        for name, ask in asked(queries, JOBS).items():
            said.clear()
            try:
                await ask()
            except LedgerDown as error:  # SQLite has no index of this name
                found[name] = str(error.__cause__)
                continue
            for sql, values in said:
                wanted = _wanted(name) if (sql, values) == said[-1] else ""
                if problem := await database.problem(sql, values, wanted):
                    found[name] = problem
    return found


@pytest.mark.suite("SQLite")
async def test_plans_of_lists_on_sqlite(tmp_path: Path) -> None:
    async with filled_sqlite(tmp_path) as (queries, database):
        assert await _problems(queries, database) == {}
        for name in _DROPPED:
            async with database.without(name):
                assert await _problems(queries, database), f"nobody misses {name}"


@pytest.mark.suite("PostgreSQL")
@pytest.mark.parametrize("analysed", ANALYSED)
async def test_plans_of_lists_on_postgres(postgres_server: PostgresServer, analysed: str) -> None:
    async with filled_postgres(postgres_server, analysed) as (queries, database):
        assert await _problems(queries, database) == {}
        for name in _DROPPED if analysed == "when filled" else ():
            async with database.without(name):
                assert await _problems(queries, database), f"nobody misses {name}"
