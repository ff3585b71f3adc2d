"""Calls that land after their account was given up: the reconciler finds them, and the history
tells of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.servers.postgres import PostgresServer
from tests.servers.scim import TOKEN, SimulatedDirectory
from tests.servers.system import System, until

_ENVIRON = {
    "BOTRIX_LEASE": "1",
    "BOTRIX_BEAT": "0.2",
    "BOTRIX_REQUEST_TIMEOUT": "1",
    "BOTRIX_BACKOFF_BASE": "0.05",
    "MAX_RETRIES": "0",
}
_LATE = {"do": "late", "seconds": 1.5}


@pytest_asyncio.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.suite("SQLite")),
        pytest.param("postgres", marks=pytest.mark.suite("PostgreSQL")),
    ]
)
async def impatient(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[System]:
    """Gives an account up after one call; looks again after two seconds."""
    url = None
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = await server.database()
    made = System(folder, _ENVIRON, url)
    try:
        await made.start()
        await made.worker()
        yield made
    finally:
        await made.stop()


@pytest_asyncio.fixture
async def directory(tmp_path: Path) -> AsyncIterator[SimulatedDirectory]:
    made = SimulatedDirectory(tmp_path)
    (tmp_path / "token").write_text(TOKEN)
    await made.begin()
    yield made
    await made.stop()


async def _looked_again(system: System, job: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def done() -> bool:
        found.update(await system.get(f"/api/jobs/{job}"))
        return found["finished_at"] is not None and not found["provisional"]

    await until(done, 30, f"{job} was looked at again")
    return found


async def test_what_failed_and_landed_is_adopted(
    impatient: System, directory: SimulatedDirectory, tmp_path: Path
) -> None:
    settings = {"url": directory.url, "token_file": str(tmp_path / "token")}
    impatient.add_directory("idp", kind="scim", **settings)
    await directory.misbehave(rules=[{**_LATE, "times": 2}, {"do": "500", "times": 1}])
    job = await impatient.generate(5, directory="idp")
    ended = await impatient.final(job)
    assert (ended["status"], ended["created"], ended["failed"]) == ("failed", 2, 3)
    assert ended["provisional"]
    later = await _looked_again(impatient, job)
    assert (later["status"], later["created"], later["failed"]) == ("failed", 4, 1)
    history = (await impatient.get(f"/api/jobs/{job}/history"))["items"]
    told = [item["what"] for item in history]
    assert told[0] == "accepted"
    assert told.count("landed late") == 2
    assert told[-1] == "looked again"
    assert len(await directory.entries()) == 4
    assert json.loads(await impatient.redis.get(f"botrix:jobs:results:{job}"))["created"] == 4
    late = next(item["account"] for item in history if item["what"] == "landed late")
    await impatient.post(f"/api/accounts/{late}/reveal", {}, 200)


async def test_what_was_cancelled_and_landed_is_removed(
    impatient: System, directory: SimulatedDirectory, tmp_path: Path
) -> None:
    settings = {"url": directory.url, "token_file": str(tmp_path / "token")}
    impatient.add_directory("idp", kind="scim", **settings, concurrency=1)
    await directory.misbehave(delay=0.3, rules=[{**_LATE, "times": 1}])
    job = await impatient.generate(2, directory="idp")

    async def called() -> bool:
        return bool(directory.calls())

    await until(called, 60, "a call is under way")
    await impatient.post(f"/api/jobs/{job}/cancel", {}, 202)
    ended = await impatient.final(job)
    assert ended["status"] == "cancelled"
    later = await _looked_again(impatient, job)
    entries = await directory.entries()
    assert later["created"] + later["failed"] + later["cancelled"] + later["deleted"] == 2
    assert len(entries) == later["created"]
    history = (await impatient.get(f"/api/jobs/{job}/history"))["items"]
    told = [item["what"] for item in history]
    assert told.count("cancel asked") == 1
    assert ("landed late" in told) or ("removed" in told)


async def test_explain_tells_it_to_people(
    impatient: System, directory: SimulatedDirectory, tmp_path: Path
) -> None:
    settings = {"url": directory.url, "token_file": str(tmp_path / "token")}
    impatient.add_directory("idp", kind="scim", **settings)
    await directory.misbehave(rules=[{**_LATE, "times": 1}])
    job = await impatient.generate(1, directory="idp")
    assert (await _looked_again(impatient, job))["status"] == "completed"
    text = await _explained(impatient, job)
    words = ("accepted", "failed", "no clear answer", "landed late", "looked again", "worker-1")
    assert [word for word in words if word not in text] == []
    told = json.loads(await _explained(impatient, f"{job}:0", "--json"))
    assert [item["what"] for item in told] == [
        "accepted",
        "failed",
        "finished",
        "landed late",
        "looked again",
    ]
    straight = await impatient.generate(1, directory="idp")
    await impatient.final(straight)
    told = json.loads(await _explained(impatient, f"{straight}:0", "--json"))
    created = [item for item in told if item["what"] == "created"]
    assert [(one["attempt"], one["worker"]) for one in created] == [(1, "worker-1")]


async def _explained(system: System, what: str, *options: str) -> str:
    command = ("-m", "botrix", "explain", what, "--url", system.url, *options)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    return said
