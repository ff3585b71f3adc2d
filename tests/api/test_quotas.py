"""Quotas at the door: two API processes, and many who ask at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest_asyncio

from botrix.roles import Role
from tests.servers.keys import bearing, make_key, make_tenant
from tests.servers.system import System

_ASKING = 200


@pytest_asyncio.fixture
async def both(system: System) -> AsyncIterator[list[aiohttp.ClientSession]]:
    """Sessions of tenant `a` with two APIs on one ledger."""
    make_tenant(system, "a")
    other = System(system.settings.data, ledger_url=system.settings.ledger_url)
    await other.supervisor.start_api()
    key = await make_key(system, Role.SUBMITTER, "a")
    sessions = [bearing(one, key) for one in (system, other)]
    yield sessions
    for session in sessions:
        await session.close()
    await other.stop()


async def ask(
    http: aiohttp.ClientSession, count: int = 1, key: str | None = None
) -> tuple[int, dict[str, Any], str | None]:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"count": count}
    async with http.post("/api/accounts/generate", json=body, headers=headers) as answer:
        said = await answer.json(content_type=None)
        return answer.status, said, answer.headers.get("Retry-After")


async def ask_at_once(
    both: list[aiohttp.ClientSession], key: str | None = None
) -> tuple[Counter[int], list[tuple[int, dict[str, Any], str | None]]]:
    answers = await asyncio.gather(*(ask(both[n % 2], key=key) for n in range(_ASKING)))
    return Counter(status for status, _, _ in answers), list(answers)


def bound(system: System, quota: str, most: int | None) -> None:
    system.rows(f"UPDATE tenants SET {quota} = ? WHERE id = 'a' RETURNING id", most)


def job_count(system: System) -> int:
    return int(system.rows("SELECT count(*) FROM jobs WHERE tenant_id = 'a'")[0][0])


async def test_of_200_at_once_50_open_jobs_are_let_in(
    system: System, both: list[aiohttp.ClientSession]
) -> None:
    bound(system, "open_jobs", 50)
    statuses, answers = await ask_at_once(both)
    assert statuses == {202: 50, 429: 150}
    assert job_count(system) == 50
    refused = [(said, after) for status, said, after in answers if status == 429]
    assert {after for _, after in refused} == {"60"}
    assert {said["detail"] for said, _ in refused} == {
        "tenant a has 50 open jobs of 50 that it may; wait until one ends"
    }


async def test_of_200_at_once_50_accounts_of_the_day_are_let_in(
    system: System, both: list[aiohttp.ClientSession]
) -> None:
    bound(system, "accounts_per_day", 50)
    statuses, answers = await ask_at_once(both)
    assert statuses == {202: 50, 429: 150}
    assert system.rows("SELECT accounts_today FROM tenants WHERE id = 'a'") == [(50,)]
    afters = {int(after or 0) for status, _, after in answers if status == 429}
    assert all(0 < after <= 86_400 for after in afters)
    status, said, after = await ask(both[0], count=51)
    assert (status, after) == (422, None)
    assert "50 accounts a day, not for 51" in said["detail"]


async def test_of_200_at_once_under_one_key_all_get_one_job(
    system: System, both: list[aiohttp.ClientSession]
) -> None:
    """Also when the quota is used up by it, then and later."""
    bound(system, "open_jobs", 1)
    statuses, answers = await ask_at_once(both, key="k")
    assert statuses == {202: _ASKING}
    assert len({said["id"] for _, said, _ in answers}) == 1
    assert (await ask(both[0]))[0] == 429
    assert (await ask(both[1], key="k"))[1]["id"] == answers[0][1]["id"]
    assert (await ask(both[0], key="other"))[0] == 429
    bound(system, "open_jobs", None)
    status, said, _ = await ask(both[0], key="other")
    assert (status, said["id"] == answers[0][1]["id"]) == (202, False)
    assert job_count(system) == 2


async def test_a_job_too_large_is_refused_for_good(
    system: System, both: list[aiohttp.ClientSession]
) -> None:
    bound(system, "accounts_per_job", 3)
    status, said, after = await ask(both[0], count=4)
    assert (status, after) == (422, None)
    assert "3 accounts a job" in said["detail"]

    async def endless() -> AsyncIterator[bytes]:
        yield b"username\n" + b"".join(b"u%d\n" % n for n in range(1000))
        await asyncio.Event().wait()

    headers = {"Content-Type": "text/csv"}
    async with both[0].post("/api/accounts/import", data=endless(), headers=headers) as roster:
        assert roster.status == 422
        assert "3 accounts a job" in (await roster.json(content_type=None))["detail"]
    assert job_count(system) == 0
    roster_of_three = b"username\na\nb\nc\n"
    async with both[1].post(
        "/api/accounts/import", data=roster_of_three, headers=headers
    ) as answer:
        assert answer.status == 202


async def test_a_roster_over_quota_leaves_nothing_behind(
    system: System, both: list[aiohttp.ClientSession]
) -> None:
    bound(system, "open_jobs", 0)
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "k"}
    for quota, status in ((0, 429), (1, 202), (0, 202)):
        bound(system, "open_jobs", quota)
        data = b"username\nann\n"
        async with both[0].post("/api/accounts/import", data=data, headers=headers) as answer:
            assert answer.status == status
            assert ("Retry-After" in answer.headers) == (status == 429)
        assert job_count(system) == (0 if status == 429 else 1)
