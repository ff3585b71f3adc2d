"""Tables on a real terminal: as wide as that is, where they can be."""

from __future__ import annotations

import asyncio

import pytest

from tests.cli.screen import Screen, botrix
from tests.servers.system import System

pytestmark = pytest.mark.suite("Terminal")


async def test_a_list_fits_a_usual_window(slow: System, screen: Screen) -> None:
    """Without what says nothing; a job's name and how many failed stand there all the same."""
    job = await slow.generate(5, directory="slow")
    await screen.open(*botrix("jobs"), url=slow.url)
    await screen.shows(job)
    head, row, *rest = await screen.lines()
    assert head.split() == ["id", "status", "priority", "directory", "count", "failed"]
    assert row.split() == [job, "pending", "normal", "slow", "5", "0"]
    assert not "".join(rest).strip()


async def test_a_list_fits_also_where_much_happened(slow: System, screen: Screen) -> None:
    slow.add_directory("picky", reject="kim-1")
    await slow.worker()
    job = await slow.generate(2, directory="picky", template="kim-{n}")
    await slow.final(job)
    await slow.post(f"/api/jobs/{job}/undo", {"count": 1}, 202)
    waits = await slow.generate(3, dry_run=True)
    await screen.open(*botrix("jobs"), url=slow.url)
    await screen.shows(job, waits)
    lines = [line for line in await screen.lines() if line.strip()]
    head, *rows = lines[:4]
    assert "failed" in head.split(), lines
    assert all(row.startswith("job_") for row in rows), lines


async def test_what_is_wide_is_cut_but_not_a_name(slow: System, screen: Screen) -> None:
    await slow.worker()
    job = await slow.generate(2, directory="slow", template="somebody-with-a-long-name-{n}")
    await slow.final(job)
    await screen.open(*botrix("accounts"), url=slow.url)
    await screen.shows(f"{job}:1")
    head, *rows = [line for line in await screen.lines() if line.strip()][:3]
    assert head.split() == ["id", "status", "username", "email", "display", "name"]
    for n, row in enumerate(rows):
        assert row.split()[:2] == [f"{job}:{n}", "created"]
        assert "…" in row
    piped = await asyncio.create_subprocess_exec(
        *botrix("accounts", "--url", slow.url), stdout=asyncio.subprocess.PIPE
    )
    whole, _ = await piped.communicate()
    assert b"somebody-with-a-long-name-2@" in whole
