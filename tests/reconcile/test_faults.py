"""A directory that does not tell, and somebody who does not wait."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.reconcile.test_reconcile import environ, found, made, reconcile
from tests.servers.scim import TOKEN, SimulatedDirectory
from tests.servers.system import System, until


@pytest_asyncio.fixture
async def place(system: System, tmp_path: Path) -> AsyncIterator[SimulatedDirectory]:
    server = SimulatedDirectory(tmp_path)
    (tmp_path / "token").write_text(TOKEN)
    try:
        await server.begin(bulk={"most": 500})
        token = str(tmp_path / "token")
        system.add_directory("place", kind="scim", url=server.url, token_file=token)
        yield server
    finally:
        await server.stop()


async def remove(place: SimulatedDirectory, name: str) -> None:
    (entry,) = [one for one in await place.entries() if one["userName"] == name]
    await place.ask("DELETE", f"/Users/{entry['id']}")


async def test_what_is_not_told_is_no_difference_and_never_mended(
    system: System, place: SimulatedDirectory
) -> None:
    job, names = await made(system, 3)
    await remove(place, names[0])
    await place.misbehave(rules=[{"on": "find", "do": "500", "match": names[0], "times": 99}])
    said = await found(system, job, "--recreate", "--forget", "--yes")
    assert said["told"] == {("0", "unsure", "not told")}
    assert (said["left"], said["unsure"]) == (1, 1)
    await place.misbehave(rules=[{"on": "find", "do": "500", "match": names[0], "times": 1}])
    assert (await found(system, job))["told"] == {("0", "missing", "nobody")}


async def test_nobody_is_made_anew_while_it_cannot_be_told_who_was_renamed(
    system: System, place: SimulatedDirectory
) -> None:
    job, names = await made(system, 3)
    await remove(place, names[0])
    page = "startIndex=1&count=500"
    await place.misbehave(rules=[{"on": "find", "do": "503", "match": page, "times": 99}])
    said = await reconcile(system, job, "--recreate", "--yes", status=1)
    assert "nothing was mended, try again" in said
    assert (await system.get(f"/api/jobs/{job}"))["status"] == "completed"


async def test_a_directory_that_is_away_is_told_at_once(
    system: System, place: SimulatedDirectory
) -> None:
    job, _ = await made(system, 1)
    await place.stop()
    assert "place cannot be used" in await reconcile(system, job, status=1)
    assert "no job" in await reconcile(system, "nothing", status=1)
    assert "no directory" in await reconcile(system, "--directory", "nowhere", status=1)


@pytest.mark.parametrize("as_json", [False, True])
async def test_whoever_interrupts_sees_what_was_found_so_far(
    system: System, place: SimulatedDirectory, as_json: bool
) -> None:
    job, names = await made(system, 500)
    await remove(place, names[0])
    await place.misbehave(delay=0.05)
    asked = place.log.read_bytes().count(b"\n")
    words = (job, "--recreate", "--yes", *(["--json"] if as_json else []))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", "reconcile", *words,
        env=environ(system), stdout=PIPE, stderr=PIPE,
    )  # fmt: skip

    async def on_the_second_page() -> bool:
        return place.log.read_bytes().count(b"\n") - asked > 220

    await until(on_the_second_page, 40, "a page was compared")
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 130, err.decode()
    assert "so far" in err.decode()
    assert "Traceback" not in err.decode()
    if as_json:
        said = json.loads(out)
        assert (said["compared"], said["missing"]) == (200, 1)
        assert said["problem"] == "interrupted"
    else:
        assert "200 accounts compared: 1 missing" in out.decode()
    assert (await system.get(f"/api/jobs/{job}"))["status"] == "completed"
