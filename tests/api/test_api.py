"""The door: what it refuses, and how it says so."""

from __future__ import annotations

import asyncio
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from tests.servers.system import System, until

_BAD_BODIES: list[tuple[str, int]] = [
    ('{"count": 0}', 422),
    ('{"count": -1}', 422),
    ('{"count": 1000000000}', 422),
    ('{"count": true}', 422),
    ('{"count": "5"}', 422),
    ('{"count": 1.5}', 422),
    ('{"count": 1, "priority": "urgent"}', 422),
    ('{"count": 1, "captcha": "no"}', 422),
    ('{"count": 1, "directory": "nowhere"}', 422),
    ('{"count": 2, "template": "same"}', 422),
    ('{"count": 1, "not_before": 4102444800}', 422),
    ('{"count": 1, "not_before": "4102444800"}', 422),
    ('{"count": 1, "count": 2}', 400),
    ('{"count": NaN}', 400),
    ("[" * 100_000, 400),
    ("{", 400),
    ("", 400),
    ("[]", 422),
]


async def test_bad_bodies_are_problems_and_make_no_job(system: System) -> None:
    for body, status in _BAD_BODIES:
        async with system.http.post("/api/accounts/generate", data=body) as answer:
            said = await answer.json(content_type="application/problem+json")
            assert (answer.status, said["status"]) == (status, status), body[:60]
            assert said["detail"]
    assert system.rows("SELECT count(*) FROM jobs") == [(0,)]


async def test_every_error_is_a_problem(system: System) -> None:
    asked: list[tuple[str, str, dict[str, Any], int]] = [
        ("GET", "/nowhere", {}, 404),
        ("GET", "/api/jobs/none", {}, 404),
        ("GET", "/api/accounts/none", {}, 404),
        ("GET", "/api/accounts/none:1", {}, 404),
        ("DELETE", "/api/jobs", {}, 405),
        ("GET", "/api/jobs?limit=0", {}, 422),
        ("GET", "/api/jobs?cursor=x", {}, 422),
        ("POST", "/api/jobs/none/cancel", {}, 404),
        ("POST", "/api/accounts/generate", {"data": io.BytesIO(b" " * (1024 * 1024 + 1))}, 413),
        ("POST", "/api/accounts/import", {"json": {}}, 415),
        ("GET", "/api/jobs", {"headers": {"Host": "evil.example"}}, 403),
        ("POST", "/api/accounts/generate", {"headers": {"Origin": "https://evil.example"}}, 403),
    ]
    for method, path, more, status in asked:
        async with system.http.request(method, path, **more) as answer:
            said = await answer.json(content_type="application/problem+json")
            assert (answer.status, said["status"]) == (status, status), path


async def test_a_key_makes_one_job(system: System) -> None:
    async def ask(count: int) -> tuple[int, Any]:
        headers = {"Idempotency-Key": "k"}
        async with system.http.post(
            "/api/accounts/generate", json={"count": count}, headers=headers
        ) as answer:
            return answer.status, (await answer.json(content_type=None)).get("id")

    answers = await asyncio.gather(*(ask(1) for _ in range(50)))
    assert {status for status, _ in answers} == {202}
    assert len({job for _, job in answers}) == 1
    assert (await ask(2))[0] == 422


_ASKED: list[dict[str, Any]] = [
    {"count": 3},
    {
        "count": 2,
        "priority": "low",
        "template": "a-{random}",
        "groups": ["staff", "R\u00e9sum\u00e9"],
    },
    {"count": 9, "dry_run": True},
    {"count": 9, "canary": 2, "max_error_rate": 0.5, "max_failures": 0, "on_conflict": "fail"},
    {"count": 9, "not_before": "2099-01-01T08:00:00.5+02:00"},
]


async def test_a_job_is_answered_as_it_is_shown_then(system: System) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    for number, asked in enumerate(_ASKED):
        headers["Idempotency-Key"] = f"k{number}"
        answers = []
        for _ in range(2):  # then it is the earlier one
            async with system.http.post(
                "/api/accounts/generate", json=asked, headers=headers
            ) as answer:
                assert answer.status == 202
                assert answer.headers["Content-Type"] == "application/json"
                answers.append(await answer.text())
        async with system.http.get(answer.headers["Location"]) as answer:
            answers.append(await answer.text())
        assert answers[0] == answers[1] == answers[2]


async def test_a_key_is_kept_for_a_day(system: System) -> None:
    once, kept = {"Idempotency-Key": "old"}, {"Idempotency-Key": "new"}
    jobs = [
        (await system.post("/api/accounts/generate", {"count": 1}, 202, **headers))["id"]
        for headers in (once, kept)
    ]
    for key, seconds in (("old", 86_401), ("new", 86_000)):
        aged = "UPDATE idempotency_keys SET created_at = created_at - ? WHERE key = ? RETURNING key"
        system.rows(aged, seconds, key)
    await system.restart_api()

    async def swept() -> bool:
        return system.rows("SELECT key FROM idempotency_keys") == [("new",)]

    await until(swept, 30, "the old key is forgotten")
    again = [
        (await system.post("/api/accounts/generate", {"count": 1}, 202, **headers))["id"]
        for headers in (once, kept)
    ]
    assert again[0] != jobs[0]
    assert again[1] == jobs[1]


async def _import(system: System, body: bytes, **query: str) -> tuple[int, Any]:
    headers = {"Content-Type": "text/csv"}
    async with system.http.post(
        "/api/accounts/import", data=body, params=query, headers=headers
    ) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_roster_with_bad_rows(system: System) -> None:
    roster = (
        "\ufeffusername;email;given_name\r\n"
        "ann;ann@x.example;Ann\r\n"
        "bob;not an address;Bob\r\n"
        "ann;ann2@x.example;Anna\r\n"
        "eve;eve@x.example;=1+1\r\n"
        f"big;big@x.example;{'x' * 1_000_000}\r\n"
        "nul;nul@x.example;N\0\r\n"
        "søren;soren@x.example;Søren\r\n"
        "zoe;zoe@x.example;Zoë\r\n"
    ).encode()
    status, job = await _import(system, roster)
    assert (status, job["count"], job["bad_rows"]) == (202, 2, 6)
    assert [row["row"] for row in job["rows"]] == [3, 4, 5, 6, 7, 8]
    names = system.rows("SELECT username FROM accounts ORDER BY idx")
    assert names == [("ann",), ("zoe",)]
    await system.worker()
    assert (await system.final(job["id"]))["created"] == 2


async def test_a_strict_roster_is_all_or_nothing(system: System) -> None:
    status, said = await _import(system, b"username\nann\n=x\n", strict="true")
    assert status == 422
    assert "row 3" in said["detail"]
    assert system.rows("SELECT count(*) FROM jobs") == [(0,)]
    assert system.rows("SELECT count(*) FROM accounts") == [(0,)]


async def test_pages_follow_each_other(system: System) -> None:
    made = [await system.generate() for _ in range(5)]
    found: list[str] = []
    path = "/api/jobs?limit=2"
    while path:
        page = await system.get(path)
        found += [job["id"] for job in page["items"]]
        path = f"/api/jobs?limit=2&cursor={page['next']}" if page["next"] else ""
    assert sorted(found) == sorted(made)
    assert (await system.get("/openapi.json"))["openapi"].startswith("3.1")


async def test_a_key_makes_an_action_happen_once(system: System) -> None:
    system.add_directory("sim", fail_first=4)
    await system.worker()
    job = (await system.final(await system.generate(1, directory="sim")))["id"]
    await system.post(f"/api/jobs/{job}/retry", {}, 202, **{"Idempotency-Key": "again"})
    assert (await system.final(job))["status"] == "completed"
    assert await system.redis.get(f"botrix:jobs:status:{job}") == "completed"
    said = await system.post(f"/api/jobs/{job}/retry", {}, 202, **{"Idempotency-Key": "again"})
    assert said["status"] == "completed"
    await system.post(f"/api/jobs/{job}/cancel", {}, 422, **{"Idempotency-Key": "again"})
    await system.post(f"/api/jobs/{job}/retry", {}, 409, **{"Idempotency-Key": "other"})


async def test_the_description_refers_to_nothing_that_is_not_in_it(system: System) -> None:
    described = await system.get("/openapi.json")
    named = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(described)))
    there = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert named
    assert named - there == set()


@pytest.mark.parametrize(
    "path",
    [
        "/api/jobs/nul%00",
        "/api/jobs/nul%00/history",
        "/api/jobs?directory=%00",
        "/api/jobs?cursor=1~%00",
        "/api/jobs?cursor=nan~x",
        "/api/jobs/{job}/accounts?cursor=-99999999999999999999",
        "/api/jobs/{job}/rows?cursor=99999999999999999999",
        "/api/jobs/{job}/history?cursor=99999999999999999999",
        "/api/accounts?username=%00",
        "/api/accounts?username=%ed%a0%80",
        "/api/accounts?cursor=x:999999999",
        "/api/accounts/{job}:999999999/history",
    ],
)
async def test_what_no_ledger_can_hold_is_no_failure(system: System, path: str) -> None:
    job = await system.generate(1)
    async with system.http.get(URL(path.format(job=job), encoded=True)) as answer:
        assert answer.status < 500, await answer.text()


@pytest.mark.parametrize("header", ["Host", "Origin"])
async def test_an_address_that_is_none_is_refused(system: System, header: str) -> None:
    async with system.http.get("/api/jobs", headers={header: "http://[::1"}) as answer:
        assert answer.status == 403


async def test_who_hangs_up_in_mid_body_writes_no_error(folder: Path) -> None:
    system = System(folder / "data", log=folder / "log")
    try:
        await system.start()
        _, writer = await asyncio.open_connection("127.0.0.1", system.settings.port)
        head = b"POST /api/accounts/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
        writer.write(head + b"\r\n{")
        await writer.drain()
        await system.generate(1)  # the API is at the body by now
        writer.close()
        await writer.wait_closed()
        await system.generate(1)
    finally:
        await system.stop()
    assert '"level": "error"' not in (folder / "log").read_text()
