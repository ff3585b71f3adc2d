"""A plan from a roster to accounts, as people make one: looked at, applied, refused, run again."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from botrix.creators.local import count_tags
from tests.servers.system import System, until

pytestmark = pytest.mark.suite("Valkey")
_ROSTER = b"username,given_name,family_name\nann,Ann,A\nbob,Bob,B\n=1,Kim,K\neve,Eve,E\n"


async def imported(system: System, body: bytes = _ROSTER, **asked: Any) -> dict[str, Any]:
    headers = {"Content-Type": "text/csv"}
    async with system.http.post(
        "/api/accounts/import", data=body, headers=headers, params=asked
    ) as answer:
        said: dict[str, Any] = await answer.json(content_type=None)
        assert answer.status == 202, said
        return said


async def waiting(system: System, job: str, why: str, within: float = 20) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def waits() -> bool:
        found.update(await system.get(f"/api/jobs/{job}"))
        return found["waits"] == why

    await until(waits, within, f"job {job} waits: {why}")
    return found


def _entries(system: System) -> dict[str, int]:
    path = system.settings.local_directory_file
    return count_tags(path) if path.exists() else {}


async def _botrix(system: System, *words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", *words, "--url", system.url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_plan_creates_nothing_until_it_is_applied(system: System) -> None:
    await system.worker()
    first = await imported(system, b"username,given_name,family_name\nbob,Bob,B\n")
    assert (await system.final(first["id"]))["created"] == 1
    job = (await imported(system, dry_run="true"))["id"]
    plan = await waiting(system, job, "plan")
    assert plan["plan"] == {"create": 2, "adopt": 1, "conflict": 0, "invalid": 1, "moved": 0}
    assert (plan["status"], plan["created"], len(_entries(system))) == ("running", 0, 1)
    (adopted,) = (await system.get(f"/api/jobs/{job}/accounts?prospect=adopt"))["items"]
    assert (adopted["username"], adopted["status"]) == ("bob", "planned")
    told = await _botrix(system, "accounts", "--job", job, "--prospect", "adopt", "--json")
    assert [one["username"] for one in json.loads(told[1])] == ["bob"]
    await system.post(f"/api/jobs/{job}/apply", {}, 202)
    done = await system.final(job)
    assert (done["status"], done["created"], done["existing"]) == ("completed", 2, 1)
    assert len(_entries(system)) == 3
    await system.post(f"/api/jobs/{job}/apply", {}, 409)


async def test_a_plan_is_made_anew_where_the_directory_moved(system: System) -> None:
    await system.worker()
    job = (await imported(system, dry_run="true"))["id"]
    await waiting(system, job, "plan")
    other = await imported(system, b"username,given_name,family_name\nbob,Bob,B\n")
    await system.final(other["id"])
    status, out, err = await _botrix(system, "apply", job, "--watch")
    assert (status, "1 of them would come out otherwise" in out) == (1, True), (out, err)
    plan = await system.get(f"/api/jobs/{job}")
    assert (plan["waits"], plan["created"], plan["plan"]["moved"]) == ("plan", 0, 1)
    assert (plan["plan"]["create"], plan["plan"]["adopt"]) == (2, 1)
    status, out, err = await _botrix(system, "apply", job, "--watch", "--json")
    assert (status, json.loads(out)["status"]) == (0, "completed")


async def test_a_plan_is_not_applied_for_another_roster(system: System, tmp_path: Path) -> None:
    await system.worker()
    roster = tmp_path / "people.csv"
    roster.write_bytes(_ROSTER)
    status, out, err = await _botrix(system, "import", str(roster), "--plan")
    assert (status, "botrix apply job_" in out) == (0, True), (out, err)
    assert "3  create" in out.replace("       ", ""), out
    job = out.rsplit(" ", 1)[1].strip()
    roster.write_bytes(_ROSTER + b"kim,Kim,K\n")
    status, out, err = await _botrix(system, "apply", job, str(roster))
    assert (status, "the roster is not the one" in err) == (1, True), (out, err)
    roster.write_bytes(_ROSTER)
    status, out, err = await _botrix(system, "apply", job, str(roster), "--watch")
    assert status == 0, (out, err)
    assert len(_entries(system)) == 3


async def test_on_conflict_fail_tells_who_was_there(system: System) -> None:
    await system.worker()
    await system.final((await imported(system))["id"])
    again = await system.final((await imported(system))["id"])
    assert (again["status"], again["existing"], again["created"]) == ("completed", 3, 0)
    failed = await system.final((await imported(system, on_conflict="fail"))["id"])
    assert (failed["status"], failed["failed"]) == ("failed", 3)
    accounts = (await system.get(f"/api/jobs/{failed['id']}/accounts"))["items"]
    assert {one["reason"] for one in accounts} == {"created by another job"}
    planned = (await imported(system, on_conflict="fail", dry_run="true"))["id"]
    assert (await waiting(system, planned, "plan"))["plan"]["conflict"] == 3


@pytest.mark.parametrize("of", ["a roster", "generated accounts"])
async def test_a_worker_killed_while_it_looks_loses_nothing(system: System, of: str) -> None:
    """And the plan of generated accounts, which are leased, creates none, too."""
    system.add_directory("slow", delay=0.05)
    await system.worker("w1")
    if of == "a roster":
        rows = "".join(f"person{n},P,{n}\n" for n in range(400))
        roster = ("username,given_name,family_name\n" + rows).encode()
        job = (await imported(system, roster, directory="slow", dry_run="true"))["id"]
    else:
        job = await system.generate(400, directory="slow", dry_run=True)

    async def half() -> bool:
        return (await system.get(f"/api/jobs/{job}"))["plan"]["create"] >= 100

    await until(half, 30, "a part looked at")
    await system.kill("w1")
    await system.worker("w2")
    plan = await waiting(system, job, "plan")
    assert plan["plan"]["create"] == 400
    states = await system.get(f"/api/jobs/{job}/accounts?status=planned&limit=1000")
    assert len(states["items"]) == 400


async def test_later_means_later(system: System) -> None:
    await system.worker()
    job = await system.generate(1, not_before="2099-01-01T00:00:00Z")
    assert (await system.get(f"/api/jobs/{job}"))["not_before"] == "2099-01-01T00:00:00Z"
    soon = (await imported(system, not_before="2000-01-01T00:00:00Z"))["id"]
    await system.final(soon)
    assert (await system.get(f"/api/jobs/{job}"))["status"] == "pending"
    await system.post(f"/api/jobs/{job}/cancel", {}, 202)
    assert (await system.final(job))["status"] == "cancelled"


async def test_what_cannot_be_meant_is_refused(system: System) -> None:
    asked = {"count": 1, "max_error_rate": 0.1}
    said = await system.post("/api/accounts/generate", asked, 422)
    assert "canary=10" in said["detail"]
    await system.post("/api/accounts/generate", {"count": 1, "not_before": "tomorrow"}, 422)
    await system.post("/api/accounts/generate", {"count": 1, "canary": True}, 422)
