"""A classroom at a real hub: workers are killed at random moments while its seats are made."""

from __future__ import annotations

import asyncio
import csv
import io
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.servers.jupyterhub import TOKEN, Hub
from tests.servers.system import FAST, FINAL, System, until

pytestmark = pytest.mark.suite("JupyterHub")
SEATS = [f"seat-{n:03}" for n in range(200)]
OTHERS = ("teacher", "seat-by-hand")


@pytest_asyncio.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    made = Hub(tmp_path)
    try:
        await made.start()
        await made.ask("POST", "/users", {"usernames": list(OTHERS)})
        yield made
    finally:
        made.stop()


@pytest_asyncio.fixture
async def classroom(folder: Path, hub: Hub) -> AsyncIterator[System]:
    """The hub is its directory `hub`."""
    made = System(folder, environ={**FAST, "BOTRIX_CAPACITY": "12"})
    token = folder / "token"
    token.write_text(TOKEN)
    try:
        await made.start()
        made.add_directory("hub", kind="jupyterhub", url=hub.url, token_file=str(token))
        yield made
    finally:
        await made.stop()


@pytest.mark.timeout(400)
async def test_killed_workers_make_each_seat_once(classroom: System, hub: Hub) -> None:
    rng = random.Random()
    seed = rng.randrange(1 << 32)
    print(f"seed {seed}")
    rng.seed(seed)
    before = {name: await hub.ask("GET", f"/users/{name}") for name in OTHERS}
    job = await _submit(classroom)
    kills = await _kill_until_final(classroom, job, rng)
    if classroom.rows("SELECT 1 FROM accounts WHERE reason = 'poison'"):
        await classroom.post(f"/api/jobs/{job}/retry", {}, 202)  # three kills hit the same one
        await classroom.final(job, within=90)
    told = await classroom.get(f"/api/jobs/{job}")
    assert kills >= 4
    why = "SELECT reason, count(*) FROM accounts WHERE status = 'failed' GROUP BY reason"
    assert classroom.rows(why) == [("name taken", 1)]
    assert (told["created"], told["count"]) == (len(SEATS), len(SEATS) + 1)
    users = await hub.users()
    assert set(users) == {*SEATS, *OTHERS}
    assert not any(user["admin"] for user in users.values())
    assert {name for name in users if users[name]["groups"] == ["staff"]} == set(SEATS)
    assert {name: await hub.ask("GET", f"/users/{name}") for name in OTHERS} == before
    passwords = await _exported(classroom, job)
    assert set(passwords) == set(SEATS)
    for name in rng.sample(SEATS, 20):
        assert await hub.logs_in(name, passwords[name]), name
    for name in OTHERS:
        assert not await hub.logs_in(name, passwords[SEATS[0]])


async def _submit(system: System) -> str:
    """With one name among them that somebody else has."""
    async with system.http.post(
        "/api/accounts/import?directory=hub",
        data="\n".join(("username,groups", *(f"{name},staff" for name in (*SEATS, OTHERS[1])))),
        headers={"Content-Type": "text/csv"},
    ) as answer:
        said: dict[str, Any] = await answer.json()
        assert answer.status == 202, said
        return str(said["id"])


async def _kill_until_final(system: System, job: str, rng: random.Random) -> int:
    """How often one was killed; each is followed by another. As many accounts are made in between
    as a worker holds, or some would be taken for what kills workers."""
    kills, names = 0, ["worker-1", "worker-2"]
    for name in names:
        await system.worker(name)
    wanted = 0

    async def went_on() -> bool:
        told = await system.get(f"/api/jobs/{job}")
        return told["status"] in FINAL or told["created"] >= wanted

    while (told := await system.get(f"/api/jobs/{job}"))["status"] not in FINAL:
        wanted = told["created"] + rng.randint(15, 40)
        await until(went_on, 120, f"{wanted} are created")
        await asyncio.sleep(rng.uniform(0.0, 0.3))  # the moment is the point
        name = rng.choice(names)
        await system.kill(name)
        await system.worker(name)
        kills += 1
    return kills


async def _exported(system: System, job: str) -> dict[str, str]:
    async with system.http.post(f"/api/jobs/{job}/export", json={"format": "csv"}) as answer:
        rows = csv.DictReader(io.StringIO(await answer.text()))
        return {row["username"]: row["password"] for row in rows}
