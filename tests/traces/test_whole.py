"""One trace from the request to the directory's call, on real processes, as a collector gets it."""

from __future__ import annotations

import json
import secrets

import pytest

from tests.servers.collector import Collector, Span
from tests.servers.scim import SimulatedDirectory
from tests.servers.system import System, until

pytestmark = pytest.mark.suite("Valkey")


def caller() -> tuple[str, str]:
    """A trace of somebody else's, and the header that continues it."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, f"00-{trace}-{span}-01"


async def submit(system: System, header: str, count: int = 1, **more: object) -> str:
    body = {"count": count, **more}
    said = await system.post("/api/accounts/generate", body, 202, traceparent=header)
    return str(said["id"])


def one(spans: list[Span], name: str) -> Span:
    (found,) = [span for span in spans if span.name == name]
    return found


def is_at(directory: SimulatedDirectory, system: System, token_file: str, **more: object) -> None:
    system.add_directory("idp", kind="scim", url=directory.url, token_file=token_file, **more)


async def test_one_trace_goes_all_the_way(
    traced: System, collector: Collector, directory: SimulatedDirectory, token_file: str
) -> None:
    is_at(directory, traced, token_file)
    await traced.worker()
    trace, header = caller()
    job = await submit(traced, header, directory="idp")
    await traced.final(job)
    await collector.has(trace, "record")
    await collector.has(trace, "POST /api/accounts/generate")
    spans = collector.of(trace)
    request = one(spans, "POST /api/accounts/generate")
    assert (request.parent, request.kind, request.service) == (
        header[36:52],
        "server",
        "botrix-api",
    )
    assert request.attributes["http.response.status_code"] == 202
    for name in ("submit", "claim", "create", "record"):
        span = one(spans, name)
        assert span.parent == request.id
        assert span.attributes["botrix.job.id"] == job
    assert one(spans, "claim").service == "botrix-worker"
    made = one(spans, "create")
    assert (made.attributes["botrix.created"], made.attributes["botrix.attempt"]) == (1, 1)
    calls = collector.of(trace, "directory call")
    assert {call.parent for call in calls} == {made.id}
    posted = one([c for c in calls if c.attributes["http.request.method"] == "POST"], calls[0].name)
    assert (posted.kind, posted.attributes["http.response.status_code"]) == ("client", 201)
    assert one(spans, "record").attributes["botrix.job.status"] == "completed"
    assert not any(span.failed for span in spans)


async def test_what_a_killed_worker_began_goes_on_in_the_same_trace(
    traced: System, collector: Collector, directory: SimulatedDirectory, token_file: str
) -> None:
    is_at(directory, traced, token_file)
    await directory.misbehave(rules=[{"do": "hang", "on": "create", "times": 1}])
    await traced.worker("worker-1")
    trace, header = caller()
    job = await submit(traced, header, directory="idp")
    await collector.has(trace, "claim")

    async def hangs() -> bool:
        return any(call["fault"] == "hang" for call in directory.calls())

    await until(hangs, 20, "the first call hangs")
    await traced.kill("worker-1")
    await traced.worker("worker-2")
    assert (await traced.final(job))["created"] == 1
    await collector.has(trace, "record")
    spans = collector.of(trace)
    request = one(spans, "POST /api/accounts/generate")
    assert len(collector.of(trace, "claim")) == 2
    again = one(spans, "create")  # the first one died with its worker
    assert again.attributes["botrix.attempt"] == 2
    known = {span.id for span in spans} | {header[36:52]}
    lost = [span for span in spans if span.parent not in known]
    assert {span.name for span in lost} <= {"directory call"}
    assert len({span.parent for span in lost}) <= 1, (
        "of the one create that died, looks may be told"
    )
    assert again.parent == request.id


async def test_retries_show(
    traced: System, collector: Collector, directory: SimulatedDirectory, token_file: str
) -> None:
    is_at(directory, traced, token_file, bulk=False)
    await directory.misbehave(rules=[{"do": "500", "on": "create", "times": 2}])
    await traced.worker()
    trace, header = caller()
    await traced.final(await submit(traced, header, directory="idp"))
    made = (await collector.has(trace, "create", 3))[-3:]
    assert [span.attributes["botrix.attempt"] for span in made] == [1, 2, 3]
    assert [span.failed for span in made] == [True, True, False]
    refused = [call for call in collector.of(trace, "directory call") if call.failed]
    assert {call.attributes["http.response.status_code"] for call in refused} == {500}
    assert {call.parent for call in refused} == {span.id for span in made[:2]}


@pytest.mark.parametrize("told", [True, False])
async def test_a_directory_is_told_the_trace_where_the_operator_wants_it(
    traced: System, collector: Collector, directory: SimulatedDirectory, token_file: str, told: bool
) -> None:
    is_at(directory, traced, token_file, **({"traceparent": True} if told else {}))
    await traced.worker()
    trace, header = caller()
    await traced.final(await submit(traced, header, directory="idp"))
    calls = {f"00-{c.trace}-{c.id}-01" for c in await collector.has(trace, "directory call")}
    heard = {call["traceparent"] for call in directory.calls() if call["verb"] == "create"}
    assert (heard <= calls) if told else heard == {""}


async def test_a_raw_entry_may_bear_its_trace(traced: System, collector: Collector) -> None:
    await traced.worker()
    trace, header = caller()
    entries = {"with": header, "broken": "00-zz", "without": None}
    for name, said in entries.items():
        entry = {"id": name, "count": 1, **({} if said is None else {"traceparent": said})}
        await traced.redis.rpush("botrix:jobs:queue", json.dumps(entry))
    for name in entries:
        assert (await traced.final(name))["created"] == 1
    (made,) = await collector.has(trace, "create")
    assert (made.parent, made.attributes["botrix.job.id"]) == (header[36:52], "with")
    assert [s.attributes["botrix.job.id"] for s in collector.of(trace, "record")] == ["with"]


async def test_a_roster_and_its_undo_each_have_a_trace(
    traced: System, collector: Collector
) -> None:
    await traced.worker()
    trace, header = caller()
    path, body = "/api/accounts/import?directory=local", "username,email\nada,ada@example.org\n"
    said = {"Content-Type": "text/csv", "traceparent": header}
    async with traced.http.post(path, data=body, headers=said) as answer:
        job = (await answer.json())["id"]
    await traced.final(job)
    await collector.has(trace, "create")
    other, header = caller()
    path = f"/api/jobs/{job}/undo"
    undo = await traced.post(path, {"count": 1}, 202, traceparent=header)
    await traced.final(undo["id"])
    await collector.has(other, "remove")
    request = one(
        await collector.has(other, "POST /api/jobs/{job_id}/undo"),
        f"POST {path}".replace(job, "{job_id}"),
    )
    assert request.attributes["botrix.job.id"] in (job, undo["id"])
    for secret in (b"ada", b"example.org"):
        assert not any(secret in sent for sent in collector.bodies)


async def test_a_large_job_is_told_of_in_part(traced: System, collector: Collector) -> None:
    traced.add_directory("sim", batch=1, concurrency=8)
    await traced.worker()
    trace, header = caller()
    job = await submit(traced, header, 2500, directory="sim")
    assert (await traced.final(job))["created"] == 2500
    made = await collector.has(trace, "create", 102)
    assert len(made) == 102  # the first 100, then one of a thousand
    assert {span.attributes["botrix.accounts"] for span in made} == {1}
    assert len(collector.of(trace)) < 400


async def test_what_is_done_for_several_jobs_is_in_the_trace_of_each(
    traced: System, collector: Collector
) -> None:
    traced.add_directory("sim", batch=50, concurrency=1)
    callers = [caller() for _ in range(20)]
    jobs = [await submit(traced, header, directory="sim") for _, header in callers]
    await traced.worker()
    for job in jobs:
        await traced.final(job)
    made = [one(await collector.has(trace, "create"), "create") for trace, _ in callers]
    linked = [span for span in made if span.links]
    assert linked, "none were created together"
    assert {link for span in linked for link in span.links} <= {span.id for span in made}


async def test_a_request_that_comes_again_is_the_same_in_whichever_trace(traced: System) -> None:
    """Its Idempotency-Key tells, also of a roster that is to be run with care."""
    path = "/api/accounts/import?canary=1"
    jobs = set()
    for _ in range(2):
        said = {
            "Content-Type": "text/csv", "Idempotency-Key": "k1", "traceparent": caller()[1],
        }  # fmt: skip
        async with traced.http.post(path, data="username\nada\n", headers=said) as answer:
            jobs.add((await answer.json())["id"])
    assert len(jobs) == 1


async def test_who_is_not_let_in_begins_no_trace(traced: System, collector: Collector) -> None:
    trace, header = caller()
    for headers in ({"Authorization": "Bearer wrong"}, {"Host": "elsewhere.example"}):
        asked = {**headers, "traceparent": header}
        async with traced.http.get("/api/jobs", headers=asked) as answer:
            assert answer.status in (401, 403)
    async with traced.http.get("/api/jobs", headers={"traceparent": header}) as answer:
        assert answer.status == 200
    (span,) = await collector.has(trace, "GET /api/jobs")
    assert len(collector.of(trace)) == 1
    assert span.parent == header[36:52]
