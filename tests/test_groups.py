"""Groups and attributes on their whole way: from a roster, or a command, to the directory."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from botrix.api.generate import fingerprint_of
from tests.servers.system import System

pytestmark = pytest.mark.suite("Valkey")
_ROSTER = (
    "username;Member Of;Job Title;Phone;Room\r\n"
    'ann;"class-7b; staff;Größe ""L""";Tutor;+49 30 12;5\r\n'
    "bob;class-7b;;;5\r\n"
    "eve;;;;\r\n"
)


def _members(directory: Path) -> dict[str, set[str]]:
    """User names by group, as the local directory has them."""
    found: dict[str, set[str]] = defaultdict(set)
    with closing(sqlite3.connect(f"file:{directory}?mode=ro", uri=True)) as db:
        for group, name in db.execute(
            "SELECT group_name, username FROM members JOIN entries USING (entry_id)"
        ):
            found[group].add(name)
    return dict(found)


async def _imported(system: System, body: str, kind: str = "text/csv") -> dict[str, Any]:
    headers = {"Content-Type": kind}
    path = "/api/accounts/import"
    async with system.http.post(path, data=body.encode(), headers=headers) as answer:
        said: dict[str, Any] = await answer.json(content_type=None)
        assert answer.status == 202, said
        return said


async def test_from_a_roster_to_memberships(system: System) -> None:
    await system.worker()
    said = await _imported(system, _ROSTER)
    assert (said["ignored_columns"], said["rows"], said["groups"]) == (["Room"], [], [])
    job = await system.final(said["id"])
    assert (job["status"], job["created"]) == ("completed", 3)
    assert _members(system.settings.local_directory_file) == {
        "class-7b": {"ann", "bob"}, "staff": {"ann"}, 'Größe "L"': {"ann"},
    }  # fmt: skip
    ann = await system.get(f"/api/accounts/{job['id']}:0")
    assert ann["groups"] == ["class-7b", "staff", 'Größe "L"']
    assert ann["attributes"] == {"title": "Tutor", "phone": "+49 30 12"}
    assert "extra" not in ann
    listed = (await system.get(f"/api/jobs/{job['id']}/accounts"))["items"]
    assert [(one["groups"], one["attributes"]) for one in listed[1:]] == [
        (["class-7b"], {}),
        ([], {}),
    ]


async def test_lines_of_json_and_a_bad_row(system: System) -> None:
    await system.worker()
    good = {"username": "ann", "groups": ["a;b", "staff"], "cost_center": "42"}
    bad = {"username": "bob", "groups": ["s3cret\x07"]}
    body = "\n".join(json.dumps(one) for one in (good, bad))
    said = await _imported(system, body, "application/x-ndjson")
    assert [(row["row"], "control character" in row["reason"]) for row in said["rows"]] == [
        (2, True)
    ]
    assert "s3cret" not in str(said)
    await system.final(said["id"])
    assert _members(system.settings.local_directory_file) == {"a;b": {"ann"}, "staff": {"ann"}}


async def test_all_seats_of_a_class_are_in_its_groups(system: System) -> None:
    await system.worker()
    asked = {"template": "seat{n:02}", "groups": ["class-7b", " staff ", "staff"]}
    job = await system.final(await system.generate(20, **asked))
    assert (job["created"], job["groups"]) == (20, ["class-7b", "staff"])
    seats = {f"seat{n:02}" for n in range(1, 21)}
    assert _members(system.settings.local_directory_file) == {"class-7b": seats, "staff": seats}
    other = await system.final(await system.generate(1))
    assert other["groups"] == []
    assert (await system.get(f"/api/accounts/{other['id']}:0"))["groups"] == []


async def test_a_command_names_groups(system: System) -> None:
    said = await _command(system, "--group", "class-7b", "--group", "staff")
    assert said["groups"] == ["class-7b", "staff"]
    assert (await _command(system))["groups"] == []


async def _command(system: System, *more: str) -> dict[str, Any]:
    asked = ("generate", "--url", system.url, "--count", "2", "--json", *more)
    command = (sys.executable, "-m", "botrix", *asked)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    said: dict[str, Any] = json.loads(output)
    return said


async def test_groups_that_are_refused_make_no_job(system: System) -> None:
    many = [str(n) for n in range(33)]
    for groups in ("staff", [""], [" "], [7], ["x" * 257], ["a\nb"], ["=a"], many, None):
        said = await system.post("/api/accounts/generate", {"count": 1, "groups": groups}, 422)
        assert "groups" in str(said), groups
    assert system.rows("SELECT count(*) FROM jobs") == [(0,)]


async def test_a_key_is_for_one_set_of_groups_and_outlives_an_upgrade(system: System) -> None:
    key = {"Idempotency-Key": "k"}
    first = await system.post("/api/accounts/generate", {"count": 1}, 202, **key)
    # what an API that knew no groups has kept of this request
    earlier = b'{"count":1,"priority":"normal","directory":"local","template":null}'
    ((kept,),) = system.rows("SELECT fingerprint FROM idempotency_keys")
    assert kept == fingerprint_of("generate", earlier)
    again = await system.post("/api/accounts/generate", {"count": 1, "groups": []}, 202, **key)
    assert again["id"] == first["id"]
    await system.post("/api/accounts/generate", {"count": 1, "groups": ["staff"]}, 422, **key)


async def test_the_description_has_them(system: System) -> None:
    schemas = (await system.get("/openapi.json"))["components"]["schemas"]
    account, job = schemas["AccountView"]["properties"], schemas["JobView"]["properties"]
    assert account["attributes"]["additionalProperties"] == {"type": "string"}
    assert account["groups"]["items"] == job["groups"]["items"] == {"type": "string"}
