"""Lists by their filters, as an administrator asks for them; what cannot be asked is said."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, STDOUT
from typing import Any

import pytest

from tests.servers.system import System

_JOB = (
    "INSERT INTO jobs (id, source, directory, status, stage, waits, undoes, paused, count, failed,"
    " created, created_at, updated_at, finished_at) VALUES (?, 'generate', ?, ?, ?, ?, ?, ?, 4, 3,"
    " 1, ?, 0, ?) RETURNING id"
)
_ACCOUNT = (
    "INSERT INTO accounts (job_id, idx, status, username, reason, email, given_name, family_name,"
    " display_name, updated_at) VALUES ('j1', ?, ?, ?, ?, 'e', 'g', 'f', 'd', 0) RETURNING idx"
)


def _fill(system: System) -> None:
    on = bool if system.direct_url.startswith("postgres") else int
    for values in (
        ("j1", "a", "failed", "create", None, None, on(False), 1000.0, 1.0),
        ("j2", "b", "running", "plan", "plan", None, on(True), 2000.0, None),
        ("j3", "a", "running", "remove", None, "j1", on(False), 3000.0, None),
    ):
        system.rows(_JOB, *values)
    for n, (status, name, reason) in enumerate(
        [("failed", "anna", "conflict"), ("failed", "Anne", "rejected"),
         ("failed", "bob", "rejected"), ("created", "annika", None)]
    ):  # fmt: skip
        system.rows(_ACCOUNT, n, status, name, reason)


async def _names(system: System, path: str, name: str = "id") -> list[Any]:
    """Page by page, of one item each."""
    found, cursor = [], ""
    while True:
        mark = "&" if "?" in path else "?"
        async with system.http.get(f"{path}{mark}limit=1{cursor}") as answer:
            assert answer.status == 200, await answer.text()
            page = await answer.json()
        found += [item[name] for item in page["items"]]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


async def test_jobs_by_their_filters(system: System) -> None:
    _fill(system)
    for query, wanted in (
        ("", ["j3", "j2", "j1"]),
        ("?status=running", ["j3", "j2"]),
        ("?directory=a", ["j3", "j1"]),
        ("?directory=a&status=running", ["j3"]),
        ("?stage=plan", ["j2"]),
        ("?waits=plan", ["j2"]),
        ("?waits=canary", []),
        ("?undoes=j1", ["j3"]),
        ("?created_after=1970-01-01T00:20:00Z", ["j3", "j2"]),
        ("?created_before=1970-01-01T01:40:00%2B01:00", ["j2", "j1"]),
    ):
        assert await _names(system, f"/api/jobs{query}") == wanted, query


async def test_accounts_by_their_filters(system: System) -> None:
    _fill(system)
    for path, wanted in (
        ("/api/accounts?username_prefix=ANN", ["anna", "Anne", "annika"]),
        ("/api/accounts?username_prefix=ann&status=failed", ["anna", "Anne"]),
        ("/api/accounts?username=anne", []),
        ("/api/accounts?username=Anne", ["Anne"]),
        ("/api/accounts?status=failed", ["anna", "Anne", "bob"]),
        ("/api/jobs/j1/accounts?reason=rejected", ["Anne", "bob"]),
        ("/api/jobs/j1/accounts?status=failed&reason=conflict", ["anna"]),
    ):
        assert await _names(system, path, "username") == wanted, path


async def test_reasons_and_statistics(system: System) -> None:
    _fill(system)
    async with system.http.get("/api/jobs/j1/reasons") as answer:
        assert (await answer.json())["items"] == [
            {"reason": "rejected", "count": 2}, {"reason": "conflict", "count": 1},
        ]  # fmt: skip
    async with system.http.get("/api/jobs/stats") as answer:
        assert (await answer.json())["jobs"] == {"running": 2, "failed": 1}
    async with system.http.get("/api/accounts/stats") as answer:
        assert await answer.json() == {"created": 3, "failed": 9}


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/api/jobs?created_after=2026-01-01T00:00:00", "created_after"),
        ("/api/jobs?created_before=18", "created_before"),
        ("/api/jobs?waits=nothing", "waits"),
        ("/api/accounts?username=a&username_prefix=a", "username_prefix"),
        ("/api/accounts?username_prefix=", "username_prefix"),
        ("/api/accounts?username_prefix=a&cursor=nonsense", "cursor"),
        ("/api/jobs/j1/accounts?status=created&reason=x", "reason"),
    ],
)
async def test_what_cannot_be_asked(system: System, path: str, word: str) -> None:
    _fill(system)
    async with system.http.get(path) as answer:
        assert answer.status == 422
        assert word in (await answer.json(content_type="application/problem+json"))["detail"]


async def _said(system: System, *words: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", *words, "--url", system.url, stdout=PIPE, stderr=STDOUT
    )
    said = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
    return process.returncode, said


async def test_the_commands(system: System) -> None:
    _fill(system)
    for words, wanted in (
        (("jobs", "--directory", "a", "--status", "running"), ["j3"]),
        (("jobs", "--waits", "plan"), ["j2"]),
        (("accounts", "--prefix", "ANN", "--status", "failed"), ["j1:0", "j1:1"]),
        (("accounts", "--job", "j1", "--reason", "rejected"), ["j1:1", "j1:2"]),
    ):
        _, said = await _said(system, *words, "--json")
        assert [item["id"] for item in json.loads(said)] == wanted, words
    for words, advice in (
        (("accounts", "--job", "j1", "--prefix", "a"), "leave --job out"),
        (("accounts", "--reason", "rejected"), "add --job ID"),
    ):
        status, said = await _said(system, *words)
        assert status == 2
        assert advice in said
