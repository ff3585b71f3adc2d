"""`botrix top` on a real terminal, against what really runs."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest

from tests.cli.screen import Screen, botrix
from tests.guides import ROOT
from tests.servers.system import System, until

pytestmark = pytest.mark.suite("Terminal")
_LOST = "connection lost, trying again"


async def _begin(system: System, screen: Screen, count: int = 400) -> str:
    await system.worker("worker-7", "--health-check-interval", "1")
    job = await system.generate(count, directory="slow")
    await screen.open(*botrix("top"), url=system.url)
    await screen.shows(job, "worker-7", "slow", "accounts/s")
    return job


async def test_it_shows_what_runs(slow: System, screen: Screen) -> None:
    job = await _begin(slow, screen)
    row = re.compile(rf"{job} slow +█+·+ +\d+ % +0 +[\d.]+/s +\d:\d\d\n")
    worker = re.compile(rf"worker-7 +running +\d+ {job} +[\d.-]+/s +\d+ s ago\n")

    async def running() -> bool:
        text = await screen.text()  # a worker says what it holds once a second
        return bool(row.search(text) and worker.search(text))

    try:
        await until(running, 60, "the job has a bar, a rate, and a time that is left")
    except AssertionError:
        print(await screen.text())
        raise
    lines = await screen.lines()
    assert next(line for line in lines if line.startswith("slow")).split()[1] == "working"
    assert re.match(r"line +high 0 +normal \d +low 0 +jobs +running 1 +pending 0", lines[1])
    created = re.compile(r"created (\d+)")

    def made() -> int:
        found = created.search(text)
        assert found, text
        return int(found[1])

    text = await screen.text()
    before = made()

    async def more() -> bool:
        nonlocal text
        text = await screen.text()
        return made() > before

    await until(more, 10, "it goes on by itself")


async def test_it_survives_the_death_of_the_api(slow: System, screen: Screen) -> None:
    job = await _begin(slow, screen)
    process = slow.supervisor.processes["api"]
    process.kill()
    await process.wait()
    await screen.shows(_LOST, job)
    await slow.supervisor.start_api()
    await screen.lacks(_LOST)
    await screen.shows("up, ", job)


@pytest.mark.parametrize(("key", "status"), [("q", 0), ("C-c", 0)])
async def test_a_key_ends_it_and_the_terminal_is_as_before(
    slow: System, screen: Screen, key: str, status: int
) -> None:
    command = " ".join(botrix("top"))
    told = f"stty -g | cksum; echo before; {command}; echo status $?; stty -g | cksum; read -r"
    await screen.open("bash", "-c", told, url=slow.url)
    await screen.shows("botrix top", "JOBS", "none")
    assert "before" not in await screen.text(), "it has a screen of its own"
    await screen.type(key)
    await screen.shows("before", f"status {status}")
    lines = await screen.lines()
    assert (lines[0], lines[1]) == (lines[3], "before")
    assert "WORKERS" not in "\n".join(lines)


@pytest.mark.parametrize("key", ["q", "C-c"])
async def test_a_key_is_heeded_while_no_answer_comes(
    slow: System, screen: Screen, key: str
) -> None:
    await screen.open(*botrix("top"), url=slow.url)
    await screen.shows("JOBS")
    process = slow.supervisor.processes["api"]
    process.send_signal(19)
    try:
        await screen.type(key)
        assert await screen.ended(5) == 0
    finally:
        process.send_signal(18)


async def test_it_heeds_the_size_of_the_window(slow: System, screen: Screen) -> None:
    for number in range(20):
        slow.add_directory(f"other-{number:02}")
    await screen.open(*botrix("top"), url=slow.url)
    await screen.shows("DIRECTORIES: 13 of 22", "other-11")
    await screen.resize(100, 40)
    await screen.shows("slow", "other-19")
    assert max(len(line) for line in await screen.lines()) <= 100
    await screen.resize(80, 14)
    await screen.shows("DIRECTORIES: 3 of 22")
    lines = await screen.lines()
    assert lines[0].startswith("botrix top")
    assert len(lines) <= 14


def _plain(url: str, *words: str) -> str:
    environ = {**os.environ, "BOTRIX_URL": url, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        botrix("top", *words), env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("words", [(), ("--once",)])
async def test_without_a_terminal_it_is_one_frame(slow: System, words: tuple[str, ...]) -> None:
    job = await slow.generate(5, directory="slow")
    said = _plain(slow.url, *words)
    assert job in said
    assert "pending" in said
    assert "\x1b" not in said


async def test_programs_get_a_snapshot(slow: System) -> None:
    job = await slow.generate(5, directory="slow")
    said = json.loads(_plain(slow.url, "--json"))
    assert [one["id"] for one in said["open_jobs"]] == [job]
    assert said["accounts_per_second"] == 0
    assert {one["name"] for one in said["directories"]} == {"local", "slow"}
    assert said["lanes"] == {"high": 0, "normal": 1, "low": 0}


async def test_it_does_without_the_line(slow: System, screen: Screen) -> None:
    await screen.open(*botrix("top"), url=slow.url)
    await screen.shows("high 0")
    slow.supervisor.line.kill()
    await screen.shows("down; workers take work from the ledger", "up, ")
