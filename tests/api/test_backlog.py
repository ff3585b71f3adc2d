"""The limit on open jobs at the door, by two API processes on one ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.servers.system import FAST, System, until

_MOST = 20
_ASKING = 100


@pytest_asyncio.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.suite("SQLite")),
        pytest.param("postgres", marks=pytest.mark.suite("PostgreSQL")),
    ]
)
async def both(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[list[System]]:
    url = None
    if request.param == "postgres":
        url = await request.getfixturevalue("postgres_server").database()
    bounded = {**FAST, "BOTRIX_BACKLOG": str(_MOST)}
    one = System(folder, bounded, url)
    await one.start()
    other = System(folder, bounded, one.settings.ledger_url, one.settings.redis_url)
    await other.supervisor.start_api()
    other.connect()
    yield [one, other]
    await other.stop()
    await one.stop()


async def ask(system: System, key: str | None = None) -> tuple[int, str, str | None]:
    headers = {} if key is None else {"Idempotency-Key": key}
    async with system.http.post(
        "/api/accounts/generate", json={"count": 1}, headers=headers
    ) as answer:
        said = await answer.json(content_type=None)
        return answer.status, said.get("id") or said["detail"], answer.headers.get("Retry-After")


async def test_beyond_the_limit_nothing_is_taken_in(both: list[System]) -> None:
    one, other = both
    assert (await ask(one, "first"))[0] == 202
    answers = await asyncio.gather(*(ask(one) for _ in range(_ASKING)))
    statuses = Counter(status for status, _, _ in answers)
    assert statuses == {202: _MOST - 1, 429: _ASKING - _MOST + 1}
    told = {(detail, after) for status, detail, after in answers if status == 429}
    assert told == {
        (f"{_MOST} jobs wait or run, which are as many as may; send it again later", "10")
    }
    assert (await ask(other))[0] == 429  # which had let in none itself
    assert (await ask(other, "first"))[0] == 202  # came before
    headers = {"Content-Type": "text/csv"}
    async with other.http.post(
        "/api/accounts/import", data=b"username\nann\n", headers=headers
    ) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "10")
    assert one.rows("SELECT count(*) FROM jobs") == [(_MOST,)]
    await one.worker()

    async def room() -> bool:
        return (await ask(other))[0] == 202

    await until(room, 20, "jobs have ended, so that there is room")


async def test_of_several_processes_each_may_let_in_what_the_others_just_did(
    both: list[System],
) -> None:
    answers = await asyncio.gather(*(ask(both[n % 2]) for n in range(_ASKING)))
    entered = sum(status == 202 for status, _, _ in answers)
    assert _MOST <= entered <= 2 * _MOST
