"""A directory that cannot be used pauses its jobs, and nobody else's; they go on by themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.servers.scim import TOKEN, SimulatedDirectory
from tests.servers.system import System, until


@pytest_asyncio.fixture
async def directory(tmp_path: Path) -> AsyncIterator[SimulatedDirectory]:
    server = SimulatedDirectory(tmp_path)
    await server.begin(delay=0.01)
    yield server
    await server.stop()


def add(system: System, directory: SimulatedDirectory, folder: Path, **more: Any) -> Path:
    token = folder / "token"
    token.write_text(TOKEN)
    system.add_directory("idp", kind="scim", url=directory.url, token_file=str(token), **more)
    return token


async def status(system: System, wanted: str, within: float = 30.0) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def so() -> bool:
        found.update(await system.get("/api/directories/idp"))
        return found["status"] == wanted

    await until(so, within, f"the directory is {wanted}")
    return found


def tries(system: System, job: str) -> int:
    return int(system.rows("SELECT max(tries) FROM accounts WHERE job_id = ?", job)[0][0] or 0)


async def half_done(system: System, job: str) -> None:
    async def so() -> bool:
        return bool((await system.get(f"/api/jobs/{job}"))["created"] > 20)

    await until(so, 30, "some are created")


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"do": "401"}, "credentials refused: HTTP 401"),
        ({"do": "403"}, "credentials refused: HTTP 403"),
        ({"do": "503"}, "HTTP 503"),
        ({"do": "503", "retry_after": "22"}, "maintenance: HTTP 503"),
        ({"do": "500"}, "calls failed, the last: HTTP 500"),
    ],
)
async def test_its_jobs_wait_and_go_on_and_others_are_not_kept(
    system: System, directory: SimulatedDirectory, tmp_path: Path, rule: dict[str, Any], told: str
) -> None:
    add(system, directory, tmp_path)
    system.add_directory("other", delay=0.01, batch=5)
    await system.worker("worker-1")
    await system.worker("worker-2")
    job = await system.generate(200, directory="idp")
    await half_done(system, job)
    await directory.misbehave(rules=[{**rule, "on": verb} for verb in ("create", "find")])
    paused = await status(system, "paused")
    assert told in paused["reason"]
    assert (paused["paused"], paused["limit"]) == (True, 0)
    assert paused["next_probe_in"] is not None
    another = await system.generate(30, directory="other")
    assert (await system.final(another, 30))["status"] == "completed"
    held = await system.generate(5, directory="idp")

    async def waits() -> bool:
        return bool((await system.get(f"/api/jobs/{held}"))["held"])

    await until(waits, 10, "the new job is held")
    if "retry_after" in rule:  # nobody waits for a minute here
        system.rows("UPDATE throttles SET probe_at = 0 RETURNING name")
    await directory.misbehave(delay=0.01)
    for one in (job, held):
        done = await system.final(one, 60)
        assert (done["status"], done["failed"]) == ("completed", 0), done
    assert tries(system, job) <= (2 if rule["do"] == "500" else 1)  # before it was paused
    assert tries(system, held) == 1
    assert (await status(system, "working"))["reason"] is None
    assert max(directory.created().values()) == 1


async def test_one_that_is_away_for_long_costs_no_try(
    system: System, directory: SimulatedDirectory, tmp_path: Path
) -> None:
    add(system, directory, tmp_path)
    await system.worker()
    job = await system.generate(100, directory="idp")
    await half_done(system, job)
    await directory.stop()
    assert "no connection" in (await status(system, "paused"))["reason"]

    async def probed() -> bool:
        return bool(system.rows("SELECT 1 FROM throttles WHERE state LIKE '%\"probes\":3%'"))

    await until(probed, 20, "it was probed again and again")
    await directory.begin(delay=0.01)  # with nothing in it: what was created is lost
    done = await system.final(job, 60)
    assert (done["status"], done["created"]) == ("completed", 100)


async def test_another_token_is_used_without_a_restart(
    system: System, directory: SimulatedDirectory, tmp_path: Path
) -> None:
    token = add(system, directory, tmp_path)
    token.write_text("the-one-of-yesterday")
    await system.worker()
    job = await system.generate(20, directory="idp")
    assert "HTTP 401" in (await status(system, "paused"))["reason"]
    token.write_text(TOKEN)
    done = await system.final(job, 30)
    assert (done["status"], done["retried"]) == ("completed", 0)


async def test_settings_that_cannot_be_used_are_told_and_may_be_mended(
    system: System, directory: SimulatedDirectory, tmp_path: Path
) -> None:
    token = add(system, directory, tmp_path)
    token.unlink()
    await system.worker()
    job = await system.generate(20, directory="idp")
    reason = (await status(system, "paused"))["reason"]
    assert "its settings cannot be used" in reason
    assert str(token) in reason
    token.write_text(TOKEN)
    assert (await system.final(job, 30))["status"] == "completed"


async def test_after_its_patience_its_jobs_end_with_the_reason(
    system: System, directory: SimulatedDirectory, tmp_path: Path
) -> None:
    add(system, directory, tmp_path)
    await directory.misbehave(rules=[{"do": "403"}])
    await system.worker("worker-1", BOTRIX_DIRECTORY_PATIENCE="2")
    job = await system.generate(10, directory="idp")
    await directory.misbehave(rules=[{"do": "403", "on": verb} for verb in ("create", "find")])
    done = await system.final(job, 60)
    assert (done["status"], done["failed"]) == ("failed", 10)
    rows = system.rows("SELECT detail FROM accounts WHERE job_id = ?", job)
    assert all("403" in detail or "credentials" in detail for (detail,) in rows), rows
    assert (await system.get("/api/directories/idp"))["status"] == "given up"
    await directory.misbehave(delay=0.01)
    assert (await system.final(await system.generate(5, directory="idp"), 30))["created"] == 5
    await status(system, "working")


async def test_all_workers_together_keep_to_the_limit(
    system: System, directory: SimulatedDirectory, tmp_path: Path
) -> None:
    add(system, directory, tmp_path, concurrency=5)
    await directory.misbehave(delay=0.05)
    for n in range(3):
        await system.worker(f"worker-{n}")
    jobs = [await system.generate(100, directory="idp") for _ in range(3)]
    for job in jobs:
        assert (await system.final(job, 60))["status"] == "completed"
    assert await directory.ask("GET", "/_most") <= 5
    shown = await system.get("/api/directories/idp")
    assert shown["most"] == 5


async def test_who_asks_to_be_asked_less_is(
    system: System, directory: SimulatedDirectory, tmp_path: Path
) -> None:
    add(system, directory, tmp_path)
    rules = [{"do": "429", "retry_after": "0.1", "share": 0.5, "times": 200}]
    await directory.misbehave(delay=0.02, rules=rules)
    await system.worker()
    job = await system.generate(300, directory="idp")
    seen: list[str] = []

    async def less() -> bool:
        shown = await system.get("/api/directories/idp")
        seen.append(shown["limit_reason"])
        return bool("asked to be asked less" in shown["limit_reason"] and shown["limit"] <= 2)

    await until(less, 30, "the limit is low")
    done = await system.final(job, 90)
    assert (done["status"], tries(system, job)) == ("completed", 1), seen


async def test_the_rate_is_kept(
    system: System, directory: SimulatedDirectory, tmp_path: Path
) -> None:
    add(system, directory, tmp_path, rate=20)
    for n in range(2):
        await system.worker(f"worker-{n}", BOTRIX_CAPACITY="20")

    async def both() -> bool:
        return len((await system.get("/api/workers"))["items"]) == 2

    await until(both, 20, "both workers are up")
    for job in [await system.generate(15, directory="idp") for _ in range(4)]:
        assert (await system.final(job, 60))["status"] == "completed"
    assert len(system.rows("SELECT DISTINCT last_session FROM accounts")) == 2
    times = [call["at"] for call in directory.calls() if call["verb"] == "create"]
    assert len(times) == 60
    assert max(times) - min(times) > 59 / 20 * 0.8


async def test_it_is_shown_at_a_terminal(
    system: System, directory: SimulatedDirectory, tmp_path: Path
) -> None:
    add(system, directory, tmp_path)
    env = {**system.environ, "BOTRIX_LEDGER_URL": system.settings.ledger_url,
           "BOTRIX_DATA": str(system.settings.data)}  # fmt: skip
    shown = []
    for options in ((), ("--json",)):
        process = await asyncio.create_subprocess_exec(
            ".venv/bin/botrix", "directory", "show", "idp", *options, env=env,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        shown.append((await process.communicate())[0].decode())
    assert shown[0].startswith("idp is working\n")
    assert json.loads(shown[1])["limit_reason"] == "it was not used enough yet to tell"


async def test_a_kind_without_requests_may_be_mended_too(system: System) -> None:
    system.add_directory("idp", bogus=1)
    await system.worker()
    jobs = [await system.generate(20, directory="idp") for _ in range(8)]
    assert "bogus" in (await status(system, "paused"))["reason"]
    system.rows("UPDATE directories SET config = '{}' WHERE name = 'idp' RETURNING name")
    for job in jobs:
        assert (await system.final(job, 30))["status"] == "completed"
    await status(system, "working")
