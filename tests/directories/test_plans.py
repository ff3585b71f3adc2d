"""A plan is made and applied before real directories while the workers that do it are killed:
nothing is created before, exactly what was planned is afterwards, and nobody else's is touched."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.directories.test_undo import CAPACITY, COUNT, Place, place
from tests.servers.system import System, until

__all__ = ["place"]
Numbers = Callable[[], Awaitable[int]]


async def _killed_at(system: System, progress: Numbers, mark: int) -> int:
    """Both workers, once so much is done; how much it was then."""

    async def reached() -> bool:
        return await progress() >= mark

    await until(reached, 60, f"{mark} done")
    for name in ("a", "b"):
        await system.kill(name)
    done = await progress()
    for name in ("a", "b"):
        await system.worker(name, BOTRIX_CAPACITY=CAPACITY)
    return done


async def _waiting(system: System, job: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def waits() -> bool:
        found.update(await system.get(f"/api/jobs/{job}"))
        return found["waits"] == "plan"

    await until(waits, 90, f"{job} waits to be applied")
    return found


async def _sent(system: System, names: list[str], **asked: str) -> str:
    text = "username\n" + "".join(f"{name}\n" for name in names)
    async with system.http.post(
        "/api/accounts/import",
        data=text.encode(),
        headers={"Content-Type": "text/csv"},
        params={"directory": "people", **asked},
    ) as answer:
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["id"])


@pytest.mark.timeout(300)
async def test_exactly_the_plan_is_made_though_workers_are_killed(
    system: System, place: Place
) -> None:
    system.add_directory("people", kind=place.kind, **place.settings)
    for name in ("a", "b"):
        await system.worker(name, BOTRIX_CAPACITY=CAPACITY)
    await place.add("by-hand", "of somebody")
    other = await _sent(system, ["shared"])
    await system.final(other, 60)
    before = await place.entries()
    names = ["shared", "by-hand", *(f"seat-{n}" for n in range(COUNT))]
    job = await _sent(system, names, dry_run="true")

    async def looked() -> int:
        plan = (await system.get(f"/api/jobs/{job}"))["plan"]
        return int(plan["create"] + plan["adopt"] + plan["conflict"])

    async def made() -> int:
        return len(await place.entries()) - len(before)

    first = await _killed_at(system, looked, random.randint(5, 60))
    plan = await _waiting(system, job)
    assert first < COUNT, first
    assert await place.entries() == before
    assert plan["plan"] == {
        "create": COUNT, "adopt": 1, "conflict": 1, "invalid": 0, "moved": 0,
    }  # fmt: skip
    await system.post(f"/api/jobs/{job}/apply", {}, 202)
    await _killed_at(system, looked, random.randint(5, 60))
    second = await _killed_at(system, made, random.randint(5, 100))
    assert second < COUNT, second
    done = await system.final(job, 120)
    failed = (await system.get(f"/api/jobs/{job}/accounts?status=failed"))["items"]
    assert [(one["username"], one["reason"]) for one in failed] == [("by-hand", "name taken")]
    assert (done["created"], done["existing"], done["failed"]) == (COUNT, 1, 1), done
    made_by = {f"seat-{n}": f"botrix:{job}:{n + 2}" for n in range(COUNT)}
    assert await place.entries() == before | made_by
