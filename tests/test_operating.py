"""An operator pauses and drains what runs: jobs, directories, workers; as real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import pytest

from botrix.supervisor import Supervisor
from tests.servers.scim import TOKEN, SimulatedDirectory
from tests.servers.system import System, until

_SLOW = {"delay": 0.2, "batch": 1, "concurrency": 4}


async def botrix(system: System, *command: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", *command, stdin=PIPE, stdout=PIPE, stderr=PIPE,
        env={
            **os.environ, "BOTRIX_DATA": str(system.settings.data), "BOTRIX_URL": system.url,
            "BOTRIX_LEDGER_URL": system.settings.ledger_url,
            "REDIS_URL": system.settings.redis_url,
        },
    )  # fmt: skip


async def said(system: System, *command: str, code: int = 0) -> str:
    process = await botrix(system, *command)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == code, (out, err)
    return (out + err).decode()


async def worker_row(system: System, name: str) -> dict[str, Any]:
    rows = (await system.get("/api/workers"))["items"]
    return next((row for row in rows if row["worker_id"] == name), {})


def leased(system: System) -> int:
    return int(system.rows("SELECT count(*) FROM accounts WHERE session_id IS NOT NULL")[0][0])


def tried(system: System) -> list[tuple[Any, ...]]:
    """How many tries accounts have used up (one creates it), and how often they were lost."""
    return system.rows("SELECT DISTINCT tries, crashes FROM accounts")


async def is_leased(system: System, n: int = 1) -> None:
    async def some() -> bool:
        return leased(system) >= n

    await until(some, 20, "accounts are leased")


async def none_leased(system: System) -> None:
    async def none() -> bool:
        return leased(system) == 0

    await until(none, 30, "nothing is leased")


async def test_a_paused_job_waits_and_goes_on(system: System) -> None:
    system.add_directory("slow", **_SLOW)
    await system.worker("worker-1", BOTRIX_CAPACITY="8")
    job = await system.generate(60, directory="slow")
    await is_leased(system)
    assert "is paused" in await said(system, "pause", job)
    await none_leased(system)
    before = await system.get(f"/api/jobs/{job}")
    assert (before["waits"], before["status"]) == ("paused", "running")
    assert 0 < before["created"] < 60
    refused = await said(system, "approve", job, code=1)
    assert f"use: botrix resume {job}" in refused
    await said(system, "resume", job)
    assert (await system.final(job))["created"] == 60
    told = await said(system, "explain", job)
    assert "paused" in told
    assert "resumed" in told


async def test_who_says_stop_means_at_once(system: System) -> None:
    """Also where a worker holds more than its directory makes in a minute."""
    system.add_directory("slow", **_SLOW)
    await system.worker("worker-1")
    paused, cancelled = [await system.generate(450, directory="slow") for _ in range(2)]
    await is_leased(system, 800)
    await said(system, "pause", paused)
    await said(system, "cancel", cancelled)
    await none_leased(system)
    ended = await system.final(cancelled)
    assert ended["cancelled"] > 400
    waits = await system.get(f"/api/jobs/{paused}")
    assert waits["waits"] == "paused"
    assert 0 < waits["created"] < 50
    assert sorted(tried(system)) == [(0, 0), (1, 0)]
    await said(system, "cancel", paused)
    assert (await system.final(paused))["created"] == waits["created"]


async def test_a_paused_directory_is_left_alone_until_it_is_resumed(
    system: System, tmp_path: Path
) -> None:
    """Nothing of its jobs is lost, not even a try; others are not held."""
    directory = SimulatedDirectory(tmp_path)
    await directory.begin(delay=0.05)
    (tmp_path / "token").write_text(TOKEN)
    token = str(tmp_path / "token")
    system.add_directory("idp", kind="scim", url=directory.url, token_file=token, rate=60)
    system.add_directory("other")
    try:
        await system.worker("worker-1")
        job = await system.generate(600, directory="idp")

        async def begun() -> bool:
            return sum(directory.created().values()) > 10

        await until(begun, 30, "accounts are created")
        drained = await said(system, "directory", "pause", "idp", "--reason", "moving", "--drain")
        assert "no account of it is under way" in drained
        assert leased(system) == 0
        called = len(directory.calls())
        assert 10 < sum(directory.created().values()) < 600

        async def held() -> bool:
            return bool((await system.get(f"/api/jobs/{job}"))["held"])

        await until(held, 10, "its job is held")
        shown = await system.get("/api/directories/idp")
        assert (shown["paused"], shown["reason"], shown["next_probe_in"]) == (True, "moving", None)
        assert shown["paused_by"].startswith("console:")
        assert ": moving" in await said(system, "directory", "show", "idp")
        done = await system.final(await system.generate(3, directory="other"))
        assert done["created"] == 3
        assert len(directory.calls()) == called

        resumed = await system.post("/api/directories/idp/resume", {}, 200)
        assert (resumed["status"], resumed["paused_by"]) == ("working", None)
        done = await system.final(job)
    finally:
        await directory.stop()
    assert (done["created"], done["retried"]) == (600, 0)
    assert tried(system) == [(1, 0)]


async def test_a_quiet_worker_stays_and_takes_nothing(system: System) -> None:
    system.add_directory("slow", **_SLOW)
    await system.worker("worker-1", BOTRIX_CAPACITY="8")
    job = await system.generate(40, directory="slow")
    await is_leased(system)
    await said(system, "workers", "quiet", "worker-1", "--watch")
    assert leased(system) == 0
    assert "quiet" in await said(system, "workers")
    created = (await system.get(f"/api/jobs/{job}"))["created"]
    assert 0 < created < 40
    late = await system.generate(1)
    await system.worker("worker-2", BOTRIX_CAPACITY="8")  # what was taken is given to others
    assert (await system.final(late))["created"] == 1
    assert (await system.final(job))["created"] == 40
    await system.terminate("worker-2")
    last = await system.generate(2)
    await system.post("/api/workers/worker-1/work", {}, 202)
    assert (await system.final(last))["created"] == 2
    assert (await worker_row(system, "worker-1"))["status"] == "running"
    assert {row[1] for row in tried(system)} == {0}


async def test_a_drained_worker_finishes_what_it_holds_and_ends(system: System) -> None:
    system.add_directory("slow", **_SLOW)
    process = await system.worker("worker-1", BOTRIX_GRACE="1")
    job = await system.generate(60, directory="slow")
    await is_leased(system, 60)
    await said(system, "workers", "drain", "worker-1")
    assert await asyncio.wait_for(process.wait(), 30) == 0
    counts = system.rows("SELECT status, count(*) FROM accounts GROUP BY status")
    assert counts == [("created", 60)]  # longer than its grace would have been
    assert (await system.get(f"/api/jobs/{job}"))["status"] == "completed"
    assert system.rows("SELECT status FROM sessions") == [("ended",)]
    assert await worker_row(system, "worker-1") == {}


async def test_sigterm_ends_a_worker_that_is_quiet_or_drains(system: System) -> None:
    system.add_directory("stuck", delay=60.0, batch=1, concurrency=1)
    for duty in ("quiet", "drain"):
        process = await system.worker(f"{duty}-1", BOTRIX_GRACE="2")
        await system.generate(5, directory="stuck")
        await is_leased(system, 5)
        await system.post(f"/api/workers/{duty}-1/{duty}", {}, 202)

        async def heard(name: str = f"{duty}-1") -> bool:
            return (await worker_row(system, name)).get("status") in ("quiet", "draining")

        await until(heard, 10, "it says so")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
        await none_leased(system)


async def test_a_session_that_replaces_a_lost_one_is_quiet_too(system: System) -> None:
    await system.worker("worker-1")

    async def up() -> bool:
        return bool(await worker_row(system, "worker-1"))

    await until(up, 20, "the worker is up")
    await system.post("/api/workers/worker-1/quiet", {}, 202)

    async def quiet() -> bool:
        return (await worker_row(system, "worker-1")).get("status") == "quiet"

    await until(quiet, 10, "it is quiet")
    lost = "UPDATE sessions SET status = 'lost', ended_at = 1 WHERE status = 'live' RETURNING id"
    assert len(system.rows(lost)) == 1

    async def again() -> bool:
        return system.rows("SELECT wanted FROM sessions WHERE status = 'live'") == [("quiet",)]

    await until(again, 20, "the new session is quiet")


async def test_who_cannot_be_asked_is_said(system: System) -> None:
    await system.post("/api/workers/nobody/quiet", {}, 404)
    system.rows(
        "INSERT INTO sessions (id, worker_id, host, pid, version, started_at)"
        " VALUES ('s0', 'old', 'h', 1, '0', 0) RETURNING id"
    )
    refused = await system.post("/api/workers/old/drain", {}, 409)
    assert "earlier release" in refused["detail"]


async def test_a_key_asks_once(system: System) -> None:
    system.rows(
        "INSERT INTO sessions (id, worker_id, host, pid, version, started_at, wanted)"
        " VALUES ('s0', 'w', 'h', 1, '0', 0, 'work') RETURNING id"
    )
    key = {"Idempotency-Key": "k"}
    await system.post("/api/workers/w/quiet", {}, 202, **key)
    await system.post("/api/workers/w/work", {}, 202)
    await system.post("/api/workers/w/quiet", {}, 202, **key)
    assert system.rows("SELECT wanted FROM sessions") == [("work",)]
    acts = system.rows("SELECT what, object FROM audit ORDER BY n")
    assert acts == [("worker.quiet", "w"), ("worker.work", "w")]


async def failed_jobs(system: System, n: int) -> list[str]:
    """Each with one account that was refused and one that was created."""
    system.add_directory("picky", reject="-bad-")
    ids = []
    for number in range(n):
        data = f"username\nann-bad-{number}\nann-{number}\n".encode()
        async with system.http.post(
            "/api/accounts/import?directory=picky", data=data, headers={"Content-Type": "text/csv"}
        ) as answer:
            ids.append((await answer.json())["id"])
    for job in ids:
        assert (await system.final(job))["failed"] == 1
    return ids


async def test_many_jobs_are_tried_again_and_cancelled_at_once(system: System) -> None:
    await system.worker("worker-1")
    jobs = await failed_jobs(system, 3)
    (reason,) = system.rows("SELECT DISTINCT reason FROM accounts WHERE status = 'failed'")[0]
    assert "no such job" in await said(system, "retry", "--reason", "another")
    would = await said(system, "retry", "--reason", reason, "--since", "1h", "--dry-run")
    assert "3 jobs would be tried again" in would
    refused = await said(system, "retry", "--status", "failed", "--json", code=1)
    assert "--yes" in refused
    mended = "UPDATE directories SET config = '{}' WHERE name = 'picky' RETURNING name"
    assert system.rows(mended)
    await system.terminate("worker-1")  # a simulated directory reads its settings once
    again = await said(system, "retry", "--reason", reason, "--yes", "--json")
    assert sorted(json.loads(again)["ids"]) == sorted(jobs)
    told = [await system.redis.get(f"botrix:jobs:status:{job}") for job in jobs]
    assert told == ["running"] * 3
    await system.worker("worker-2")
    for job in jobs:
        assert (await system.final(job))["created"] == 2
    await system.terminate("worker-2")

    waiting = [await system.generate(2) for _ in range(4)]
    process = await botrix(system, "cancel", "--status", "pending", "--since", "1h")
    out, err = await asyncio.wait_for(process.communicate(b"n\n"), 60)
    assert process.returncode == 1, (out, err)
    assert b"cancel 4 jobs?" in out
    one = await said(system, "cancel", waiting[0])
    assert f"job {waiting[0]} is cancelled" in one
    body = {"directory": "local", "limit": 2, "dry_run": True}
    counted = await system.post("/api/jobs/cancel", body, 200)
    assert counted == {"jobs": 3, "ids": [], "more": False, "next": None}
    key = {"Idempotency-Key": "k"}
    done = await system.post("/api/jobs/cancel", {**body, "dry_run": False}, 200, **key)
    assert (done["jobs"], done["ids"], done["more"]) == (2, waiting[1:3], True)
    assert await system.post("/api/jobs/cancel", {**body, "dry_run": False}, 200, **key) == done
    assert "1 job was cancelled" in await said(system, "cancel", "--directory", "local", "--yes")
    for job in waiting:
        assert (await system.get(f"/api/jobs/{job}"))["status"] == "cancelled"
    acts = system.rows("SELECT count(*) FROM audit WHERE what = 'job.cancel'")
    assert acts == [(4,)]


async def test_what_names_no_jobs_is_refused(system: System) -> None:
    for body in ({}, {"limit": 5}, {"status": "completed"}, {"created_after": "yesterday"},
                 {"created_after": "2026-11-26T08:00:00"}, {"directory": "x", "dry_run": 1},
                 {"directory": "x", "limit": 1001}, {"directory": "x", "cursor": "?"}):  # fmt: skip
        for verb in ("cancel", "retry"):
            await system.post(f"/api/jobs/{verb}", body, 422)
    assert "either a JOB or options" in await said(system, "cancel", code=1)
    assert "either a JOB or options" in await said(system, "retry", "j", "--reason", "x", code=1)
    assert "is no time" in await said(system, "cancel", "--since", "soon", code=2)


@pytest.mark.suite("SQLite")
async def test_who_was_drained_is_not_started_again_and_who_died_is(folder: Path) -> None:
    system = System(folder)
    system.supervisor = Supervisor(system.settings, 1, system.environ)
    try:
        await system.start()
        first = system.supervisor.processes["worker-1"]
        first.kill()

        async def again() -> bool:
            return system.supervisor.processes["worker-1"] is not first

        await until(again, 20, "it is started again")
        await until(lambda: _listed(system), 20, "it is up")
        await system.post("/api/workers/worker-1/drain", {}, 202)
        (keeper,) = system.supervisor._keepers
        await asyncio.wait_for(keeper, 20)
        assert system.supervisor.processes["worker-1"].returncode == 0
    finally:
        await system.stop()


async def _listed(system: System) -> bool:
    live = "SELECT count(*) FROM sessions WHERE status = 'live' AND wanted = 'work'"
    return system.rows(live) == [(1,)]
