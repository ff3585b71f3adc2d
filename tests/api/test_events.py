"""Events over HTTP, from real processes: what is told, to whom, and what becomes of it where the
line, the API or whoever listens is away for a while."""

from __future__ import annotations

import asyncio
import time

import pytest

from botrix.line import keys
from botrix.roles import Role
from tests.api.listening import Heard, hear, listening
from tests.servers.keys import CONSOLE, bearing, make_key, make_tenant, opened
from tests.servers.system import System


async def _job(system: System, count: int = 3) -> str:
    return await system.generate(count, directory="sim")


async def test_each_move_of_a_job_is_told(system: System) -> None:
    system.add_directory("sim")
    await system.worker()
    async with listening(system) as heard:
        job = await _job(system)
        await heard.until(lambda h: h.has("job", job_id=job, status="completed"), "its end")
        told = [one for one in heard.of("job") if one["job_id"] == job]
        assert [one["status"] for one in told][:: len(told) - 1] == ["pending", "completed"]
        assert told[-1].items() >= {
            "count": 3, "created": 3, "failed": 0, "directory": "sim", "priority": "normal",
            "stage": "create", "waits": None,
        }.items()  # fmt: skip
        await heard.until(lambda h: h.has("pulse", jobs={"completed": 1}, workers=1), "a pulse")
        assert heard.of("pulse")[-1]["accounts"]["created"] == 3
        assert heard.of("pulse")[-1]["lanes"] == {"high": 0, "normal": 0, "low": 0}
    kept = (await system.get("/api/pulse"))["items"]
    assert kept[-1] in heard.of("pulse")
    assert len(kept) >= len(heard.of("pulse"))


async def test_a_decision_is_told(system: System) -> None:
    system.add_directory("sim")
    async with listening(system) as heard:
        job = await _job(system)
        for verb, told in (
            ("pause", {"waits": "paused"}),
            ("resume", {"waits": None, "status": "pending"}),
            ("cancel", {"status": "cancelled", "cancelled": 3}),
        ):
            seen = len(heard.events)
            async with system.http.post(f"/api/jobs/{job}/{verb}") as answer:
                assert answer.status < 300
            await heard.until(
                lambda h, n=seen, d=told: any(
                    d.items() <= one.data.items() for one in h.events[n:]
                ),
                verb,
            )
        assert await system.redis.get(keys.status(job)) == "cancelled"


async def test_a_plan_that_waits_is_told_and_ends_the_stream(system: System) -> None:
    system.add_directory("sim")
    await system.worker()
    job = await system.generate(3, directory="sim", dry_run=True)
    heard = Heard()
    await asyncio.wait_for(hear(system.http, f"/api/jobs/{job}/events?until=final", heard), 20)
    assert heard.of("job")[-1].items() >= {"stage": "plan", "waits": "plan"}.items()
    async with listening(system) as later:
        async with system.http.post(f"/api/jobs/{job}/apply") as answer:
            assert answer.status == 202
        await later.until(lambda h: h.has("job", job_id=job, status="completed"), "its end")
        assert later.has("job", job_id=job, stage="check", waits=None)


async def test_a_job_is_followed_to_its_end(api: System) -> None:
    await api.worker()
    job, other = await _job(api, 200), await _job(api)
    heard = Heard()
    path = f"/api/jobs/{job}/events?until=final"
    await asyncio.wait_for(hear(api.http, path, heard), 20)
    assert {one["job_id"] for one in heard.of("job")} == {job} != {other}
    assert heard.of("job")[-1]["status"] == "completed"
    assert not heard.of("pulse")
    again = Heard()
    await asyncio.wait_for(hear(api.http, path, again), 5)  # it ended before
    assert [one["status"] for one in again.of("job")] == ["completed"]
    await asyncio.wait_for(hear(api.http, path, again, last=heard.last), 5)


async def test_of_many_moves_the_newest_is_told(api: System) -> None:
    await api.worker()
    async with listening(api, "/api/events?every=2") as few, listening(api) as all_of_them:
        job = await _job(api, 3000)
        for heard in (few, all_of_them):
            await heard.until(lambda h: h.has("job", job_id=job, status="completed"), "its end")
        assert few.ids()[-1] == all_of_them.ids()[-1]
        assert set(few.ids()) <= set(all_of_them.ids())
        assert len(few.ids()) <= 3 < len(all_of_them.ids())


async def test_who_comes_back_misses_nothing(api: System) -> None:
    async with listening(api) as first:
        await _job(api)
        await first.until(lambda h: bool(h.ids()), "an event")
    for _ in range(3):
        await _job(api)
    async with listening(api, last=first.last) as again:
        await again.until(lambda h: len(h.ids()) == 3, "what was missed")
    await api.restart_api()
    await _job(api)
    async with listening(api, f"/api/events?after={first.last}") as other:
        await other.until(lambda h: len(h.ids()) == 4, "what was missed, from another process")
        assert other.ids()[:3] == again.ids()
        assert not other.of("gap")


async def test_what_is_not_kept_is_told_by_the_ledger(api: System) -> None:
    """The stream was trimmed, then flushed, while nobody and while somebody listened."""
    async with listening(api) as first:
        ended = await _job(api)
        await first.until(lambda h: bool(h.ids()), "an event")
    await api.worker()
    await api.final(ended)
    still_open = await api.generate(1, directory="sim", not_before="2099-01-01T00:00:00Z")
    await api.redis.xtrim(keys.EVENTS, maxlen=1, approximate=False)
    await api.restart_api()  # which has read none of it
    async with listening(api, last=first.last) as heard:
        await heard.until(lambda h: bool(h.of("gap")), "a gap")
        assert "all" not in heard.of("gap")[0]
        for job, status in ((ended, "completed"), (still_open, "pending")):
            await heard.until(lambda h, j=job, s=status: h.has("job", job_id=j, status=s), job)
        await api.redis.flushall()
        await heard.until(lambda h: len(h.of("gap")) == 2, "another gap")
        later = await _job(api)
        await heard.until(lambda h: h.has("job", job_id=later, status="completed"), "its end")


async def test_without_the_line_the_ledger_is_told(api: System) -> None:
    await api.worker()
    done = await _job(api)
    await api.final(done)
    async with listening(api) as heard, listening(api, "/api/events?every=0.5") as few:
        api.supervisor.line.kill()
        await heard.until(lambda h: bool(h.of("gap")), "a gap")
        job = await _job(api)
        for one in (heard, few):
            await one.until(lambda h: h.has("job", job_id=job, status="completed"), "its end")
            await one.until(lambda h: h.of("pulse")[-1]["lanes"] is None, "a pulse without lanes")
        assert not heard.ids()
        async with listening(api) as late:  # begins all the same
            assert late.of("ready") == [{"at": None}] or late.of("ready")[0]["at"]
        await api.supervisor.line.start()
        later = await _job(api)
        await heard.until(lambda h: h.has("job", job_id=later, status="completed"), "its end")
        await heard.until(lambda h: bool(h.ids()), "events of the line")


async def test_a_tenant_hears_of_his_own_jobs(api: System) -> None:
    make_tenant(api, "other")
    mine, theirs = [await make_key(api, Role.READER, name) for name in ("default", "other")]
    submitter = await make_key(api, Role.ADMIN, "other")
    async with bearing(api, mine) as a, bearing(api, theirs) as b, bearing(api, submitter) as c:
        async with listening(api, http=a) as ours, listening(api, http=b) as others:
            async with c.post("/api/accounts/generate", json={"count": 2}) as answer:
                job = (await answer.json())["id"]
            await others.until(lambda h: h.has("job", job_id=job), "its event")
            await ours.until(lambda h: len(h.of("pulse")) >= 2, "two pulses")
            assert not ours.of("job")
            assert all(not one["jobs"] for one in ours.of("pulse"))
        async with a.get(f"/api/jobs/{job}/events") as answer:
            assert answer.status == 404


async def test_a_revoked_key_hears_nothing_more(api: System) -> None:
    key = await make_key(api, Role.READER)
    async with bearing(api, key) as http, listening(api, http=http) as heard:
        async with opened(api) as known:
            await known.revoke("default", key[4:20], CONSOLE)
        await heard.until(lambda h: h.ended, "it is closed", within=12)
        assert "not good" in heard.of("dropped")[0]["reason"]


async def test_a_process_that_ends_lets_all_go_at_once(api: System) -> None:
    async with listening(api) as heard:
        began = time.monotonic()
        api.supervisor.processes["api"].terminate()
        await heard.until(lambda h: h.ended, "it is closed", within=5)
        await api.supervisor.processes["api"].wait()
        assert time.monotonic() - began < 5
    await api.supervisor.start_api()


@pytest.mark.parametrize("given", ["x", "1", "1-", "-1-0", "1-99999999999999999999", "0-0\n"])
async def test_a_place_that_is_none_is_refused(api: System, given: str) -> None:
    for path in ("/api/events", f"/api/jobs/{await _job(api)}/events"):
        async with api.http.get(path, params={"after": given}) as answer:
            assert answer.status == 422
    async with api.http.get("/api/events?every=11") as answer:
        assert answer.status == 422


async def test_a_place_that_never_was_is_a_gap(api: System) -> None:
    job = await _job(api)
    for given in ("0-0", "1-1", "9999999999999999999-9999999999999999999"):
        async with listening(api, last=given) as heard:
            await heard.until(lambda h: h.has("gap"), given)
            await heard.until(lambda h: h.has("job", job_id=job), "its job")


async def test_what_another_program_wrote_is_no_event(api: System) -> None:
    async with listening(api) as heard:
        for fields in (
            {"x": "y"},
            {"t": "default", "j": "x", "e": "no json"},
            {"t": "default", "j": "x", "e": '{"job_id": "x", "status": "completed"\n\ndata: {}}'},
            {"t": "default", "j": "x", "e": '{"job_id": "x", "status": "' + "y" * 5000 + '"}'},
        ):
            await api.redis.xadd(keys.EVENTS, fields)
        job = await _job(api)
        await heard.until(lambda h: h.has("job", job_id=job), "its event")
        assert {one["job_id"] for one in heard.of("job")} == {job}
