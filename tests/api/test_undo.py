"""Undoing a job: by the API, and at the command line."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from typing import Any

import pytest
import pytest_asyncio

from botrix.creators.local import count_tags
from tests.servers.system import System


@pytest_asyncio.fixture
async def working(system: System) -> System:
    await system.worker()
    return system


async def made(system: System, count: int = 3, **more: Any) -> str:
    job = await system.generate(count, **more)
    done = await system.final(job)
    assert done["created"] == count, done
    return job


def there(system: System) -> set[str]:
    """The tags in the local directory."""
    return set(count_tags(system.settings.local_directory_file))


async def test_a_job_is_undone(working: System) -> None:
    job, other = await made(working), await made(working, 1)
    path = f"/api/jobs/{job}/undo"
    async with working.http.post(path, json={"count": 3}) as answer:
        said = await answer.json()
        assert answer.status == 202, said
        assert answer.headers["Location"] == f"/api/jobs/{said['id']}"
    assert (said["undoes"], said["stage"], said["count"]) == (job, "remove", 3)
    done = await working.final(said["id"])
    assert (done["status"], done["deleted"], done["provisional"]) == ("completed", 3, False)
    assert there(working) == {f"botrix:{other}:0"}
    undone = await working.get(f"/api/jobs/{job}")
    assert (undone["created"], undone["deleted"], undone["undoes"]) == (0, 3, None)
    told = (await working.get(f"/api/jobs/{job}/history"))["items"]
    assert [(one["what"], one["detail"]) for one in told if "job_" in (one["detail"] or "")] == [
        ("undo asked", f"3 accounts, by job {said['id']}"),
        *[("removed", f"by job {said['id']}")] * 3,
    ]
    await working.post(f"/api/accounts/{job}:0/reveal", {}, 409)
    await working.post(f"/api/accounts/{said['id']}:0/reveal", {}, 409)
    await working.post(f"/api/jobs/{job}/export", {"format": "csv"}, 410)
    stats = await working.get("/api/jobs/stats")
    assert stats["jobs"] == {"completed": 3}


async def test_what_is_refused_says_what_to_do(working: System) -> None:
    job = await made(working)
    path = f"/api/jobs/{job}/undo"
    refused = [
        ({"count": 2}, 409, "has 3 accounts that it created, not 2"),
        ({"count": 3, "max_deletes": 2}, 409, "give max_deletes 3"),
        ({"count": 0}, 422, "count"),
        ({"count": "3"}, 422, "count"),
        ({"count": 3, "max_deletes": 0}, 422, "max_deletes"),
        ({}, 422, "count"),
        ({"count": 3, "sure": True}, 422, "sure"),
    ]
    for body, status, words in refused:
        assert words in (await working.post(path, body, status))["detail"], body
    await working.post("/api/jobs/none/undo", {"count": 1}, 404)
    assert len(there(working)) == 3


async def test_a_key_makes_one_undo(working: System) -> None:
    job = await made(working)
    path, key = f"/api/jobs/{job}/undo", {"Idempotency-Key": "k"}
    first = await working.post(path, {"count": 3}, 202, **key)
    await working.final(first["id"])
    again = await working.post(path, {"count": 3}, 202, **key)
    assert (again["id"], again["status"]) == (first["id"], "completed")
    await working.post(path, {"count": 2}, 422, **key)
    assert "nothing to undo" in (await working.post(path, {"count": 3}, 409))["detail"]


async def test_an_undo_that_is_done_is_left_alone(working: System) -> None:
    working.add_directory("sim")
    job = await made(working, directory="sim")
    undone = await working.post(f"/api/jobs/{job}/undo", {"count": 3}, 202)
    done = await working.final(undone["id"])
    assert (done["status"], done["deleted"]) == ("completed", 3)
    await working.post(f"/api/jobs/{undone['id']}/retry", {}, 409)
    await working.post(f"/api/jobs/{undone['id']}/undo", {"count": 3}, 409)


async def test_the_directory_says_what_an_undo_does(working: System) -> None:
    working.add_directory("kept", on_undo="disable")
    working.add_directory("broken", on_undo="burn")
    said = {one["name"]: one["on_undo"] for one in (await working.get("/api/directories"))["items"]}
    assert said == {"broken": None, "kept": "disable", "local": "delete"}
    job = await made(working, directory="kept")
    undone = await working.post(f"/api/jobs/{job}/undo", {"count": 3}, 202)
    await working.final(undone["id"])
    page = await working.get(f"/api/jobs/{job}/accounts")
    assert {(one["status"], one["reason"]) for one in page["items"]} == {("deleted", "disabled")}


async def _run(system: System, *command: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", *command, "--url", system.url,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in err, err
    return process.returncode, out.decode(), err.decode()


async def _typed(system: System, text: str, *command: str) -> tuple[int, str]:
    """At a terminal, by a person."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", *command, "--url", system.url,
        stdin=theirs, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, f"{text}\n".encode())
    out, _ = await process.communicate()
    os.close(ours)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_the_command_line_undoes(working: System) -> None:
    job = await made(working)
    code, _, err = await _run(working, "undo", job)
    assert (code, "--count N" in err) == (1, True)
    code, _, err = await _run(working, "undo", job, "--count", "4")
    assert (code, "has 3 accounts that it created, not 4" in err) == (1, True)
    code, _, err = await _run(working, "undo", job, "--count", "3", "--max-deletes", "1")
    assert (code, "give max_deletes 3" in err) == (1, True)
    assert len(there(working)) == 3
    code, out, _ = await _run(working, "undo", job, "--count", "3", "--watch", "--json")
    said = json.loads(out)
    assert (code, said["status"], said["deleted"], said["undoes"]) == (0, "completed", 3, job)
    assert there(working) == set()


@pytest.mark.parametrize(("typed", "gone"), [("3", True), ("2", False)])
async def test_who_undoes_types_the_number(working: System, typed: str, gone: bool) -> None:
    job = await made(working)
    code, said = await _typed(working, typed, "undo", job, "--watch")
    assert f"job {job} has created 3 accounts in local; they will be deleted there" in said
    assert "Type the number of accounts" in said
    assert (code == 0, there(working) == set()) == (gone, gone), said
