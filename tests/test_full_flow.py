"""The full flow on real processes: API, ledger, line, workers, a directory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable

import pytest

from botrix.creators.local import count_tags, verify
from tests.servers.system import System, until

pytestmark = pytest.mark.suite("Valkey")


async def test_one_account_reaches_the_directory(system: System) -> None:
    await system.worker()
    job = await system.final(await system.generate())
    assert (job["status"], job["created"], job["count"]) == ("completed", 1, 1)
    tags = count_tags(system.settings.local_directory_file)
    assert tags == {f"botrix:{job['id']}:0": 1}
    revealed = await system.post(f"/api/accounts/{job['id']}:0/reveal", {}, 200)
    directory = system.settings.local_directory_file
    assert verify(directory, revealed["username"], revealed["password"])
    await system.post(f"/api/accounts/{job['id']}:0/reveal", {}, 410)


async def test_several_accounts_in_one_job(system: System) -> None:
    await system.worker()
    job = await system.final(await system.generate(25))
    assert job["created"] == 25
    tags = count_tags(system.settings.local_directory_file)
    assert tags == {f"botrix:{job['id']}:{index}": 1 for index in range(25)}


async def test_jobs_one_after_another(system: System) -> None:
    system.add_directory("sim")
    await system.worker()
    for count in (1, 7, 3):
        job = await system.final(await system.generate(count, directory="sim"))
        assert (job["status"], job["created"]) == ("completed", count)


async def test_several_workers_share_the_work(system: System) -> None:
    system.add_directory("sim", delay=0.05, batch=5, concurrency=2)
    for number in range(3):
        await system.worker(f"worker-{number}", BOTRIX_CAPACITY="50")
    jobs = [await system.generate(20, directory="sim") for _ in range(15)]
    for job in jobs:
        assert (await system.final(job))["created"] == 20
    health = (await system.get("/api/workers"))["items"]
    assert {one["worker_id"] for one in health} == {"worker-0", "worker-1", "worker-2"}


async def test_a_second_worker_of_the_same_id_gets_a_suffix(system: System) -> None:
    await system.worker("worker-1")

    async def both() -> bool:
        return (await system.redis.exists("botrix:worker:health:worker-1")) == 1

    await until(both, 15, "first worker is up")
    system.workers["first"] = system.workers["worker-1"]
    await system.worker("worker-1")

    async def suffixed() -> bool:
        return (await system.redis.exists("botrix:worker:health:worker-1-2")) == 1

    await until(suffixed, 15, "second worker has a suffix")


async def test_failure_and_retry(system: System) -> None:
    system.add_directory("shaky", fail_first=2)
    system.add_directory("broken", reject=".")
    await system.worker()
    shaky = await system.final(await system.generate(5, directory="shaky"))
    assert (shaky["created"], shaky["retried"]) == (5, 10)
    broken = await system.final(await system.generate(3, directory="broken"))
    assert (broken["status"], broken["failed"]) == ("failed", 3)
    accounts = (await system.get(f"/api/jobs/{broken['id']}/accounts"))["items"]
    assert {one["reason"] for one in accounts} == {"rejected"}
    await system.post(f"/api/jobs/{broken['id']}/retry", {}, 202)
    again = await system.final(broken["id"])
    assert (again["status"], again["failed"]) == ("failed", 3)


async def test_an_account_costs_four_calls_at_most(system: System) -> None:
    system.add_directory("dead", fail_rate=1.0)
    await system.worker()
    job = await system.final(await system.generate(2, directory="dead"))
    assert (job["status"], job["failed"]) == ("failed", 2)
    assert [row[0] for row in system.rows("SELECT tries FROM accounts")] == [4, 4]


async def test_states_progress_and_are_published(system: System) -> None:
    system.add_directory("sim")
    events = system.redis.pubsub()
    await events.subscribe("botrix:jobs:updates")
    job = await system.generate(3, directory="sim")
    assert await system.redis.get(f"botrix:jobs:status:{job}") == "pending"
    await system.worker()
    seen: list[str] = []
    deadline = time.monotonic() + 20
    while "completed" not in seen and time.monotonic() < deadline:
        message = await events.get_message(ignore_subscribe_messages=True, timeout=5)
        if message:
            seen.append(json.loads(message["data"])["status"])
    assert seen[0] == "pending"
    assert seen[1] == "running"
    assert seen[-1] == "completed"
    assert await system.redis.get(f"botrix:jobs:status:{job}") == "completed"
    results = json.loads(await system.redis.get(f"botrix:jobs:results:{job}"))
    assert (results["created"], len(results["accounts"]), results["truncated"]) == (3, 3, False)
    assert 3500 < await system.redis.ttl(f"botrix:jobs:results:{job}") <= 3600
    await events.aclose()


async def test_the_line_survives_a_restart_and_keeps_its_order(system: System) -> None:
    system.add_directory("sim")
    jobs = [await system.generate(directory="sim") for _ in range(20)]
    before = await system.redis.lrange("botrix:jobs:queue", 0, -1)
    assert [json.loads(entry)["id"] for entry in before] == jobs
    await asyncio.sleep(1.1)  # the append-only file is written each second, by its own clock
    system.supervisor.line.kill()
    await system.supervisor.line.start()
    assert await system.redis.lrange("botrix:jobs:queue", 0, -1) == before
    await system.worker()
    for job in jobs:
        assert (await system.final(job))["status"] == "completed"


async def test_a_flushed_line_is_rebuilt_from_the_ledger(system: System) -> None:
    system.add_directory("sim")
    jobs = [await system.generate(2, directory="sim") for _ in range(10)]
    await system.redis.flushall()
    await system.worker()
    for job in jobs:
        assert (await system.final(job))["created"] == 2


async def test_work_goes_on_without_the_line(system: System) -> None:
    system.add_directory("sim")
    system.supervisor.line.kill()
    await system.worker()
    job = await system.final(await system.generate(5, directory="sim"))
    assert job["created"] == 5
    await system.supervisor.line.start()
    later = await system.final(await system.generate(5, directory="sim"))
    assert later["created"] == 5


async def test_an_empty_line_costs_no_work(system: System) -> None:
    await system.worker()

    async def up() -> bool:
        return bool((await system.get("/api/workers"))["items"])

    await until(up, 15, "worker is up")
    before = (await system.redis.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})
    began = time.monotonic()
    await asyncio.sleep(2)
    after = (await system.redis.info("commandstats"))["cmdstat_evalsha"]
    # Two pumps look once each time a peek of 5 s ends; the rest is the dispatcher.
    assert (after["calls"] - before["calls"]) / (time.monotonic() - began) < 20


async def test_the_health_key_and_its_end(system: System) -> None:
    await system.worker("worker-9", "--health-check-interval", "0.4")
    key = "botrix:worker:health:worker-9"

    async def there() -> bool:
        return (await system.redis.exists(key)) == 1

    await until(there, 15, "health key")
    health = json.loads(await system.redis.get(key))
    expected = {"worker_id", "status", "last_heartbeat", "current_job", "jobs_processed",
                "jobs_succeeded", "jobs_failed", "uptime_seconds"}  # fmt: skip
    assert expected <= set(health)
    assert health["status"] == "running"
    await system.kill("worker-9")

    async def gone() -> bool:
        return not await there()

    await until(gone, 5, "health key expires")


async def test_fifty_jobs_and_five_thousand_accounts(system: System) -> None:
    system.add_directory("sim", forget=True)
    await system.worker()
    jobs = await asyncio.gather(*(system.generate(100, directory="sim") for _ in range(50)))
    for job in jobs:
        assert (await system.final(job, 60))["created"] == 100
    assert system.rows("SELECT count(*), count(DISTINCT username) FROM accounts") == [(5000, 5000)]


async def test_another_program_pushes_raw_entries(system: System) -> None:
    system.add_directory("sim")
    await system.worker()
    bad = ["no json", '{"id":"a b","count":1}', '{"id":"x","count":true}', '{"id":"y","count":0}',
           '{"id":"z","count":1,"sudo":1}',
           '{"id":"t","count":2,"template":"{oops}"}', '{"id":"d","count":1,"directory":"nowhere"}',
           "[" * 20_000, '{"id":"n","count":' + "9" * 5000 + "}", "x" * 70_000]  # fmt: skip
    await system.redis.rpush("botrix:jobs:queue", *bad)
    good = '{"id":"raw-1","count":3,"directory":"sim"}'
    await system.redis.rpush("botrix:jobs:queue", good, good)

    async def known() -> bool:
        return bool(system.rows("SELECT 1 FROM jobs WHERE id = 'raw-1'"))

    await until(known, 15, "raw job is in the ledger")
    assert (await system.final("raw-1"))["created"] == 3

    async def told() -> bool:
        return await system.redis.llen("{botrix:jobs:queue}:rejected") == len(bad)

    await until(told, 10, "bad entries are rejected with a reason")
    for text in await system.redis.lrange("{botrix:jobs:queue}:rejected", 0, -1):
        assert json.loads(text)["reason"]
    assert system.workers["worker-1"].returncode is None
    assert system.rows("SELECT count(*) FROM jobs") == [(1,)]


async def test_a_killed_worker_loses_nothing_and_doubles_nothing(system: System) -> None:
    await system.worker("worker-1")
    job = await system.generate(120)

    async def begun() -> bool:
        return bool((await system.get(f"/api/jobs/{job}"))["created"] >= 20)

    await until(begun, 30, "some accounts are created")
    await system.kill("worker-1")
    await system.worker("worker-2")
    assert (await system.final(job, 60))["created"] == 120
    tags = count_tags(system.settings.local_directory_file)
    assert tags == {f"botrix:{job}:{index}": 1 for index in range(120)}


async def test_lost_answers_make_no_second_account(system: System) -> None:
    system.add_directory("lossy", lose_rate=0.3, seed=1)
    await system.worker()
    job = await system.final(await system.generate(500, directory="lossy"))
    assert (job["created"], job["status"]) == (500, "completed")


async def test_term_drains_and_counts_no_attempt(system: System) -> None:
    system.add_directory("slow", delay=0.3, batch=1, concurrency=2)
    await system.worker()
    job = await system.generate(200, directory="slow")

    async def leased() -> bool:
        return bool(system.rows("SELECT 1 FROM accounts WHERE status = 'leased'"))

    await until(leased, 15, "accounts are leased")
    assert await system.terminate("worker-1") == 0
    assert system.rows("SELECT count(*) FROM accounts WHERE status = 'leased'") == [(0,)]
    assert system.rows("SELECT count(*) FROM accounts WHERE crashes > 0") == [(0,)]
    handed = "SELECT count(*) FROM accounts WHERE status IN ('planned', 'unsure') AND tries > 0"
    assert system.rows(handed) == [(0,)]
    assert system.rows("SELECT status FROM sessions") == [("ended",)]
    assert (await system.get(f"/api/jobs/{job}"))["status"] == "running"


async def test_a_second_term_hands_back_at_once(system: System) -> None:
    system.add_directory("hung", delay=60, batch=1, concurrency=2)
    process = await system.worker(HEALTH_CHECK_INTERVAL="0.1")
    job = await system.generate(10, directory="hung")

    async def under_way() -> bool:
        workers = (await system.get("/api/workers"))["items"]
        return any(worker.get("current_job") == job for worker in workers)

    await until(under_way, 15, "accounts are under way")
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 15) == 0
    assert time.monotonic() - began < 10
    assert system.rows("SELECT DISTINCT tries FROM accounts") == [(0,)]


@pytest.mark.parametrize("system", ["sqlite"], indirect=True)
async def test_signals_until_the_very_end_change_nothing(system: System) -> None:
    for _ in range(8):
        process = await system.worker()

        async def up() -> bool:
            return bool(system.rows("SELECT 1 FROM sessions WHERE status = 'live'"))

        await until(up, 15, "a session is live")
        ended = asyncio.create_task(process.wait())
        while not ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
            await asyncio.sleep(0.0002)
        assert ended.result() == 0


async def test_cancel_ends_a_job(system: System) -> None:
    system.add_directory("slow", delay=0.2, batch=1, concurrency=1)
    await system.worker(BOTRIX_CAPACITY="5")
    job = await system.generate(1000, directory="slow")

    async def begun() -> bool:
        return bool((await system.get(f"/api/jobs/{job}"))["created"])

    await until(begun, 15, "the job began")
    await system.post(f"/api/jobs/{job}/cancel", {}, 202)
    ended = await system.final(job)
    assert ended["status"] == "cancelled"
    assert ended["created"] + ended["cancelled"] == 1000


async def test_cancel_is_at_once_also_for_what_was_held_before(system: System) -> None:
    """A worker held its accounts, gave them back when it was paused, and holds them once more: no
    call was made for them, so that nothing is looked for, which would take a minute and a half."""
    system.add_directory("slow", delay=0.2, batch=1, concurrency=1)
    await system.worker()
    job = await system.generate(500, directory="slow")

    def held(at_least: int) -> Callable[[], Awaitable[bool]]:
        async def enough() -> bool:
            (row,) = system.rows("SELECT count(*) FROM accounts WHERE status = 'leased'")
            return bool(row[0] >= at_least)

        return enough

    async def given_back() -> bool:
        return not await held(2)()

    for _ in range(2):
        await until(held(400), 15, "it is held")
        await system.post(f"/api/jobs/{job}/pause", {}, 200)
        await until(given_back, 15, "it is given back")
        await system.post(f"/api/jobs/{job}/resume", {}, 200)
    await until(held(400), 15, "it is held once more")
    await system.post(f"/api/jobs/{job}/cancel", {}, 202)
    ended = await system.final(job, 20)
    assert (ended["status"], ended["created"] + ended["cancelled"]) == ("cancelled", 500)


async def test_a_slow_directory_leaves_room_for_others(system: System) -> None:
    system.add_directory("slow", delay=60, batch=1, concurrency=1)
    system.add_directory("quick")
    await system.worker(BOTRIX_CAPACITY="40")
    for _ in range(20):
        await system.generate(10, directory="slow")
    jobs = [await system.generate(10, directory="quick") for _ in range(5)]
    for job in jobs:
        assert (await system.final(job, 20))["created"] == 10
    (held,) = system.rows("SELECT count(*) FROM accounts WHERE status = 'leased'")
    assert held == (30,)
