"""Upgrades: migrations under load, old and new workers side by side, workers that come early."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import secrets
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from botrix import __version__
from botrix.creators.local import count_tags
from botrix.ledger.revisions import newest
from tests.servers.earlier import EarlierSystem, at_work
from tests.servers.system import System, until

_FIRST_SINCE = "0002_history.py"
_NOT_CREATED = (
    "SELECT idx, status, reason, detail, tries, crashes FROM accounts"
    " WHERE job_id = ? AND status <> 'created'"
)
_REVISION = "SELECT version_num FROM alembic_version"


earlier = at_work(_FIRST_SINCE)
"""The program as it was before its second migration."""


@pytest.mark.timeout(300)
async def test_a_ledger_is_migrated_under_load(earlier: EarlierSystem) -> None:
    assert earlier.rows(_REVISION) == [("0001",)]
    earlier.add_directory("sim", delay=0.1, batch=10, forget=True)
    earlier.add_directory("shaky", fail_first=1)
    old = [await earlier.earlier_worker(name) for name in ("old-1", "old-2")]
    jobs = {await earlier.generate(40): 40 for _ in range(5)}
    jobs |= {await earlier.generate(30, directory="shaky"): 30 for _ in range(3)}
    async with _fed(earlier, jobs):
        await _took_part(earlier, "old-1", "old-2")
        said = await botrix(earlier, "migrate")
        assert said.strip() == f"the ledger is at revision {newest()}"
        assert earlier.rows(_REVISION) == [(newest(),)]
        ((done,),) = earlier.rows("SELECT sum(created) FROM jobs")
        await _created(earlier, done + 200, "the old workers go on upon the new schema")
        assert [process.returncode for process in old] == [None, None]
        new = [await earlier.worker(name) for name in ("new-1", "new-2")]
        await _took_part(earlier, "new-1", "new-2")
    await earlier.change_api()
    assert 'botrix_workers{version="0.1.0"} 4.0' in await _metrics(earlier)
    async with _fed(earlier, jobs):
        assert [await earlier.terminate(name) for name in ("old-1", "old-2")] == [0, 0]
    known = earlier.rows("SELECT id, count FROM jobs")  # also what was accepted unheard
    assert set(jobs.items()) <= set(known)
    for job, count in known:
        ended = await earlier.final(job, 90)
        found = (ended["status"], ended["created"], ended["failed"])
        told = earlier.rows(_NOT_CREATED, job)
        assert found == ("completed", count, 0), told
    assert [process.returncode for process in new] == [None, None]
    local = earlier.rows("SELECT id, count FROM jobs WHERE directory = 'local'")
    assert count_tags(earlier.settings.local_directory_file) == {
        f"botrix:{job}:{index}": 1 for job, count in local for index in range(count)
    }
    assert earlier.rows("SELECT count(*) FROM sessions WHERE status = 'lost'") == [(0,)]


@asynccontextmanager
async def _fed(system: System, jobs: dict[str, int]) -> AsyncIterator[None]:
    """Jobs come in all the while; `jobs` has the count of each. Who gets no answer asks again with
    the same key, as a client of an API that is being replaced must."""

    async def feed() -> None:
        for number in range(100_000):
            count, directory = (10, "local") if number % 20 == 0 else (50, "sim")
            body = {"count": count, "directory": directory}
            key = secrets.token_hex(8)

            async def accepted(body: dict[str, Any] = body, key: str = key) -> bool:
                with contextlib.suppress(aiohttp.ClientError):
                    asked = {"Idempotency-Key": key}
                    answer = await system.post("/api/accounts/generate", body, 202, **asked)
                    jobs[answer["id"]] = body["count"]
                    return True
                return False

            await until(accepted, 30, "the API accepts a job")
            await until(few_wait, 60, "workers keep up")
            await asyncio.sleep(0.1)

    async def few_wait() -> bool:
        return system.rows("SELECT count(*) FROM jobs WHERE finished_at IS NULL")[0][0] < 20

    feeding = asyncio.create_task(feed())
    try:
        yield
        assert not feeding.done(), repr(feeding.exception())
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def test_a_new_worker_waits_until_the_ledger_is_migrated(
    earlier: EarlierSystem, tmp_path: Path
) -> None:
    job = await earlier.generate(3)
    log = tmp_path / "log"
    earlier.output = log.open("wb")
    process = await earlier.worker("early")

    async def said() -> bool:
        return b"waiting for the ledger" in log.read_bytes()

    await until(said, 20, "the worker says that it waits")
    (line,) = [line for line in log.read_text().splitlines() if "waiting" in line]
    assert f"at revision 0001, and this program needs {newest()}; run: botrix migrate" in line
    await asyncio.sleep(2.5)  # it looks each second
    assert process.returncode is None
    assert log.read_text().count("waiting for the ledger") == 1
    assert earlier.rows("SELECT count(*) FROM sessions") == [(0,)]
    api = await earlier.change_api(ready=False)
    assert (await earlier.get("/ready"))["detail"].endswith("run: botrix migrate")
    assert (await earlier.get("/health"))["ledger"] is False

    await botrix(earlier, "migrate")
    assert (await earlier.final(job))["created"] == 3
    assert (await earlier.get("/health"))["status"] == "ok"
    assert "Traceback" not in log.read_text()
    assert (process.returncode, api.returncode) == (None, None)


async def test_a_worker_goes_on_upon_a_newer_schema(system: System) -> None:
    """As the next release may leave it, with a table, a column and an index more."""
    await system.worker("before")
    job = await system.generate(40)
    await _created(system, 5, "the worker is at work")
    for change in ("CREATE TABLE later (n integer)", "ALTER TABLE accounts ADD COLUMN later text",
                   "ALTER TABLE jobs ADD COLUMN later integer NOT NULL DEFAULT 0",
                   "CREATE INDEX ix_later ON jobs (later)",
                   "UPDATE alembic_version SET version_num = '9999'"):  # fmt: skip
        system.rows(change)
    said = await botrix(system, "migrate")
    assert said.strip() == "the ledger is at revision 9999"
    await system.worker("after")
    jobs = {job: 40}
    system.add_directory("sim", delay=0.1, batch=10, forget=True)
    async with _fed(system, jobs):
        await _took_part(system, "before", "after")
    for job, count in jobs.items():
        assert (await system.final(job, 60))["created"] == count
    assert [p.returncode for p in system.workers.values()] == [None, None]
    health = await system.get("/health")
    assert (health["status"], health["revision"]) == ("ok", "9999")


async def test_metrics_tell_versions(system: System) -> None:
    told = await _metrics(system)
    python = platform.python_version()
    labels = f'python="{python}",revision="{newest()}",version="{__version__}"'
    assert f"botrix_build_info{{{labels}}} 1.0" in told
    assert f'botrix_workers{{version="{__version__}"}} 0.0' in told
    for name, version in (("a", "1.0"), ("b", "1.1"), ("c", "1.1")):
        system.rows(
            "INSERT INTO sessions (id, worker_id, host, pid, version, started_at)"
            " VALUES (?, ?, 'h', 1, ?, 0) RETURNING id", name, name, version
        )  # fmt: skip
    told = await _metrics(system)
    assert 'botrix_workers{version="1.0"} 1.0\nbotrix_workers{version="1.1"} 2.0\n' in told


async def _metrics(system: System) -> str:
    async with system.http.get("/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return await answer.text()


async def botrix(system: System, *command: str) -> str:
    """What a command of the present program says."""
    env = {**system.environ, "BOTRIX_LEDGER_URL": system.settings.ledger_url}
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", *command, env=env, stdout=PIPE, stderr=STDOUT
    )
    said = (await run.communicate())[0].decode()
    assert run.returncode == 0, said
    return said


async def _created(system: System, least: int, what: str) -> None:
    async def enough() -> bool:
        return bool(system.rows("SELECT sum(created) FROM jobs")[0][0] >= least)

    await until(enough, 60, what)


async def _took_part(system: System, *workers: str) -> None:
    """Each of these has held accounts of jobs that came in, since this was called."""
    holding = "SELECT DISTINCT worker_id FROM sessions s JOIN accounts a ON a.session_id = s.id"
    seen: set[str] = set()

    async def all_did() -> bool:
        seen.update(row[0] for row in system.rows(holding))
        return set(workers) <= seen

    await until(all_did, 60, f"{workers} have accounts")
