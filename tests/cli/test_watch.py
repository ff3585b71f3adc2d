"""`--watch` and `botrix watch`, on a real terminal and without one, while the API is killed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from asyncio.subprocess import PIPE, Process

import pytest

from botrix.cli.client import Api
from tests.cli.screen import Screen, botrix
from tests.guides import ROOT
from tests.servers.system import System, until

pytestmark = pytest.mark.suite("Terminal")
_LOST = "connection lost, trying again"


async def _kill_api(system: System) -> None:
    process = system.supervisor.processes["api"]
    process.kill()
    await process.wait()


def _made(system: System) -> int:
    return int(system.rows("SELECT count(*) FROM accounts WHERE status = 'created'")[0][0])


async def _plain(system: System, *command: str) -> Process:
    """Without a terminal."""
    environ = {**os.environ, "BOTRIX_URL": system.url, "PYTHONPATH": str(ROOT)}
    return await asyncio.create_subprocess_exec(
        *botrix(*command), stdout=PIPE, stderr=PIPE, env=environ
    )


async def test_it_survives_the_death_of_the_api(slow: System, screen: Screen) -> None:
    await slow.worker()
    words = ("generate", "--count", "300", "--directory", "slow", "--watch")
    await screen.open(*botrix(*words), url=slow.url)
    await screen.shows("creating 300 accounts in slow", "█ created", "running", "left")
    await _kill_api(slow)
    await screen.shows(_LOST)
    before = _made(slow)

    async def goes_on() -> bool:
        return _made(slow) > before + 20

    await until(goes_on, 20, "the job goes on without the API")
    assert _LOST in await screen.text()
    await slow.supervisor.start_api()
    await screen.lacks(_LOST)
    assert await screen.ended(110) == 0
    text = await screen.text()
    assert "100 %" in text
    assert re.search(r"█ created 300 +▓ existing 0 +▒ failed 0 +░ cancelled 0", text)
    assert text.count("█ created") == 1, "what was drawn before is drawn over"


async def test_ctrl_c_ends_the_watching_and_not_the_job(slow: System, screen: Screen) -> None:
    await slow.worker()
    job = await slow.generate(200, directory="slow")
    await screen.open(*botrix("watch", job), url=slow.url)
    await screen.shows("█ created", "running")
    await screen.type("C-c")
    assert await screen.ended() == 130
    text = await screen.text()
    assert f"the job goes on; watch it again: botrix watch {job}\n" in text
    assert "Traceback" not in text
    assert "Aborted" not in text
    assert (await slow.get(f"/api/jobs/{job}"))["status"] == "running"
    assert (await slow.final(job))["created"] == 200


async def test_what_is_drawn_stays_where_it_is(slow: System, screen: Screen) -> None:
    await slow.worker()
    job = await slow.generate(120, directory="slow")
    await screen.open(*botrix("watch", job), url=slow.url)
    await screen.shows("█ created", "running")
    places = set()
    while "running" in (text := await screen.text()):
        words = ("created", "existing", "failed", "cancelled", " %")
        places.add(tuple(text.replace("\n", "").find(word) for word in words))
    assert len(places) <= 2, places  # the first line may come before the others
    assert await screen.ended(110) == 0


@pytest.mark.parametrize("no_colour", [True, False])
async def test_colours_are_left_out_where_nobody_wants_any(
    slow: System, screen: Screen, no_colour: bool
) -> None:
    await slow.worker()
    job = await slow.generate(100, directory="slow")
    environ = {"NO_COLOR": "1"} if no_colour else {}
    await screen.open(*botrix("watch", job), url=slow.url, **environ)
    await screen.shows("█ created", "running")
    coloured = re.search(r"\x1b\[[0-9;]*38;", await screen.text(colours=True))
    assert (coloured is None) == no_colour


async def test_a_terminal_of_ascii_gets_ascii(slow: System, screen: Screen) -> None:
    await slow.worker()
    job = await slow.generate(40, directory="slow")
    environ = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    await screen.open(*botrix("watch", job), url=slow.url, **environ)
    await screen.shows("# created", "= existing", "x failed")
    text = await screen.text()
    assert text.isascii(), text


async def test_sigterm_gives_the_cursor_back(slow: System, screen: Screen) -> None:
    job = await slow.generate(1, directory="slow")
    command = " ".join(botrix("watch", job))
    told = f"{command} & echo $! >&2; wait $!; echo status $?; sleep 60"
    await screen.open("bash", "-c", told, url=slow.url)
    await screen.shows("pending")
    pid = int((await screen.lines())[0])
    assert await screen._tmux("display-message", "-p", "#{cursor_flag}") == "0\n"
    os.kill(pid, signal.SIGTERM)
    await screen.shows("status 143")
    assert await screen._tmux("display-message", "-p", "#{cursor_flag}") == "1\n"


async def test_without_a_terminal_there_are_few_plain_lines(slow: System) -> None:
    await slow.worker()
    process = await _plain(slow, "generate", "--count", "160", "--directory", "slow", "--watch")
    out, err = (text.decode() for text in await asyncio.wait_for(process.communicate(), 60))
    assert process.returncode == 0
    assert "\x1b" not in out + err
    assert "\r" not in out + err
    told = err.splitlines()
    assert 2 <= len(told) <= 6, told
    assert re.fullmatch(r"job_\w+ completed: 160 of 160 \(created 160\)", told[-1])
    assert "completed" in out


async def test_without_a_terminal_a_lost_connection_is_told_once(slow: System) -> None:
    await slow.worker()
    job = await slow.generate(200, directory="slow")
    process = await _plain(slow, "watch", job)
    assert process.stderr is not None
    assert b"of 200" in await asyncio.wait_for(process.stderr.readline(), 20)
    await slow.restart_api()
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    told = err.decode()
    assert told.count(_LOST.split(",", maxsplit=1)[0]) == told.count("it is back") == 1, told


async def test_programs_hear_nothing_but_the_end(slow: System) -> None:
    await slow.worker()
    words = ("generate", "--count", "100", "--directory", "slow", "--watch", "--json")
    process = await _plain(slow, *words)

    async def begun() -> bool:
        return _made(slow) > 10

    await until(begun, 20, "accounts are made")
    await slow.restart_api()
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err) == (0, b"")
    said = json.loads(out)
    assert (said["status"], said["created"]) == ("completed", 100)


async def test_a_plan_is_watched_by_what_it_finds(slow: System) -> None:
    await slow.worker()
    process = await _plain(slow, "generate", "--count", "20", "--directory", "slow", "--plan")
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err
    assert "20 of 20 (to create 20)" in err.decode()
    assert "20  create" in out.decode()


async def test_a_job_that_is_not_there_is_told_in_one_line(slow: System) -> None:
    process = await _plain(slow, "watch", "job_none")
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, out) == (1, b"")
    assert err.decode().startswith("Error: there is no job")
    assert err.count(b"\n") == 1


async def test_who_thinks_before_he_types_is_still_heard(slow: System) -> None:
    """The API ends a connection that is idle for 5 s."""
    await slow.worker()
    job = await slow.generate(2, directory="slow")
    await slow.final(job)
    api = Api(slow.url)
    assert (await asyncio.to_thread(api.get, f"/api/jobs/{job}"))["created"] == 2
    await asyncio.sleep(6)  # no condition tells that the other side has hung up
    assert (await asyncio.to_thread(api.get, f"/api/jobs/{job}"))["created"] == 2
    api._connection.close()
