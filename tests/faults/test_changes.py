"""The triggers on real ledgers of both kinds: they note what happened, whoever did it, and nothing
else; and what they note of good work, the checker finds good.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from botrix.ledger.ledger import Asked, Ledger, Room, Submission
from botrix.ledger.migrate import upgrade
from botrix.model import LeasedAccount, NewJob, Person, PlannedAccount, Result
from botrix.services import open_ledger
from botrix.states import AccountStatus
from tests.faults import changes
from tests.faults.evidence import Evidence, Row
from tests.faults.history import check
from tests.servers.system import until

DIRECTORY = "elsewhere"
"""Whose entries are known; the jobs here are in another one."""


@pytest_asyncio.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.suite("SQLite")),
        pytest.param("postgres", marks=pytest.mark.suite("PostgreSQL")),
    ]
)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a ledger with triggers."""
    if request.param == "postgres":
        made = str(await request.getfixturevalue("postgres_server").database())
    else:
        made = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
        await asyncio.to_thread(upgrade, made)
    await changes.install(made)
    await changes.install(made)
    return made


@pytest_asyncio.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    opened = open_ledger(url)
    await opened.open_session("s1", "w", "host", 1, "0")
    yield opened
    await opened.close()


async def say(url: str, *statements: str) -> None:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as db, db:
            for sql in statements:
                db.execute(sql)
        return
    connection = await asyncpg.connect(url)
    try:
        for sql in statements:
            await connection.execute(sql)
    finally:
        await connection.close()


def plan(
    tenant: str, job: str, template: str | None, indexes: range, policy: str | None
) -> list[PlannedAccount]:
    people = [(i, Person(f"{job}-{i}", "e@x", "g", "f", "g f")) for i in indexes]
    return [PlannedAccount(job, i, person, b"sealed") for i, person in people]


async def claimed(ledger: Ledger, job: NewJob) -> list[LeasedAccount]:
    (one,) = await ledger.submit([Submission(job)])
    return (await ledger.claim("s1", [Asked(job.id, one.place)], Room(500), plan)).accounts


def result(account: LeasedAccount, status: AccountStatus) -> Result:
    return Result(account.job_id, account.index, account.attempt, status, reason="r")


async def evidence(url: str, job: str, count: int) -> Evidence:
    asked = {"key": None, "path": "/api/accounts/generate", "body": {"count": count}, "at": 0.0,
             "status": 202, "job_id": job}  # fmt: skip
    return Evidence(requests=[asked], directories=[DIRECTORY], **await changes.read(url))


def story(rows: list[Row], *names: str, **only: Any) -> list[tuple[Any, ...]]:
    chosen = (row for row in rows if all(row[name] == value for name, value in only.items()))
    return [tuple(row[name] for name in names) for row in chosen]


async def test_good_work_is_noted_and_found_good(ledger: Ledger, url: str) -> None:
    first, second = await claimed(ledger, NewJob("j", 2))
    await ledger.rename("s1", first, Person("other", "e@x", "g", "f", "g f"))
    await ledger.record("s1", [result(first, AccountStatus.CREATED)])
    assert await ledger.mark_lost("s1", None)
    (back,) = (await ledger.free(10)).placed
    await ledger.open_session("s2", "w", "host", 1, "0")
    again = await ledger.claim("s2", [Asked("j", back.place)], Room(500), plan)
    await ledger.record("s2", [result(again.accounts[0], AccountStatus.FAILED)])
    await ledger.end_session("s2")
    found = await evidence(url, "j", 2)
    assert check(found) == []
    names = ("old_status", "new_status", "session", "session_status", "attempt", "crashes")
    assert story(found.changes, *names, kind="account", idx=second.index) == [
        (None, "leased", "s1", "live", 1, 0),
        ("leased", "unsure", "s1", "lost", 1, 1),
        ("unsure", "leased", "s2", "live", 2, 1),
        ("leased", "failed", "s2", "live", 2, 1),
    ]
    assert story(found.changes, "new_status", "username", "tries", kind="account", idx=0) == [
        ("leased", "j-0", 0), ("leased", "other", 0), ("created", "other", 1),
    ]  # fmt: skip
    assert story(found.changes, "session", "old_status", "new_status", kind="session") == [
        ("s1", None, "live"), ("s1", "live", "lost"), ("s2", None, "live"), ("s2", "live", "ended"),
    ]  # fmt: skip
    jobs = story(found.changes, "old_status", "new_status", kind="job", job_id="j")
    assert [pair for pair in jobs if pair[0] != pair[1]] == [
        (None, "pending"), ("pending", "running"), ("running", "failed"),
    ]  # fmt: skip


async def test_what_changes_nothing_is_not_noted(ledger: Ledger, url: str) -> None:
    await claimed(ledger, NewJob("j", 2))
    before = (await changes.read(url))["changes"]
    await ledger.renew("s1")
    await say(
        url,
        "UPDATE accounts SET updated_at = 5, reason = 'r', status = 'leased'",
        "UPDATE jobs SET updated_at = 5, place = 99, status = status",
    )
    assert (await changes.read(url))["changes"] == before


async def test_sealed_passwords_are_not_read(ledger: Ledger, url: str) -> None:
    await claimed(ledger, NewJob("j", 1))
    read = await changes.read(url)
    assert not any("sealed" in row for rows in read.values() for row in rows)
    assert {"username", "session_id", "row", "entry_id"} <= read["accounts"][0].keys()
    assert Evidence.from_json(Evidence(**read).to_json()) == Evidence(**read)


@pytest.mark.parametrize(
    ("sql", "invariant"),
    [
        ("UPDATE accounts SET status = 'created', session_id = NULL WHERE idx = 0", "I6"),
        ("UPDATE accounts SET attempt = attempt + 2 WHERE idx = 0", "I7"),
        ("UPDATE accounts SET session_id = 's2' WHERE idx = 0", "I7"),
        ("UPDATE sessions SET status = 'ended' WHERE id = 's1'", "I5"),
        ("UPDATE jobs SET status = 'pending', place = NULL", "I5"),
        ("DELETE FROM accounts WHERE idx = 0", "I5"),
        ("DELETE FROM jobs", "I5"),
    ],
)
async def test_who_goes_round_the_ledger_is_seen(
    ledger: Ledger, url: str, sql: str, invariant: str
) -> None:
    await claimed(ledger, NewJob("j", 2))
    await ledger.mark_lost("s1", None)
    await say(url, "PRAGMA foreign_keys = ON" if "sqlite" in url else "SELECT 1", sql)
    found = {violation.invariant for violation in check(await evidence(url, "j", 2))}
    assert invariant in found


async def test_a_half_imported_roster_may_be_taken_back(ledger: Ledger, url: str) -> None:
    await claimed(ledger, NewJob("j", 1))
    await say(
        url,
        "UPDATE jobs SET importing = (1 = 1), place = NULL",
        "DELETE FROM accounts",
        "DELETE FROM jobs WHERE importing",
    )
    notes = (await changes.read(url))["changes"]
    assert None not in [row["new_status"] for row in notes]


@pytest.mark.suite("PostgreSQL")
async def test_a_result_that_waits_while_its_session_is_lost(postgres_server: Any) -> None:
    """It saw a live session, and changes its own lease: that harms nobody, and is no violation."""
    url = await postgres_server.database()
    await changes.install(url)
    ledger, other = open_ledger(url), await asyncpg.connect(url)
    try:
        await ledger.open_session("s1", "w", "host", 1, "0")
        (account,) = await claimed(ledger, NewJob("j", 1))
        holds = other.transaction()
        await holds.start()
        await other.execute("SELECT 1 FROM jobs FOR UPDATE")
        recording = asyncio.create_task(
            ledger.record("s1", [result(account, AccountStatus.CREATED)])
        )

        async def waits() -> bool:
            return bool(await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

        await until(waits, 10, "the result waits for the job")
        assert await ledger.mark_lost("s1", None)
        await holds.rollback()
        accepted = (await recording).accepted
    finally:
        await other.close()
        await ledger.close()
    found = await evidence(url, "j", 1)
    statuses = story(found.changes, "new_status", "session_status", kind="account")
    assert (accepted, statuses[-1]) == (1, ("created", "lost"))
    assert check(found) == []
    late = [{**row, "since": row["at"]} for row in found.changes]
    assert {v.invariant for v in check(Evidence(**{**found.parts(), "changes": late}))} == {"I6"}
