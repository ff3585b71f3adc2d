"""The runner of the integration tests, run as a person would: it passes, fails, is interrupted, and
leaves no process behind. Where no Docker engine is at hand, a stand-in answers for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
import uuid
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from botrix.keys import new_key
from tests.servers.system import FAST, System, until

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
_STANDIN = Path(__file__).parent / "standin_docker.py"
SHELL = SCRIPTS / "run_integration_tests.sh"
pytestmark = [pytest.mark.timeout(300), pytest.mark.suite("Runners")]

_FAILS = "def test_it_fails():\n    assert 'expected' == 'what came'\n"
_PASSES = "def test_it_passes():\n    pass\n"
_WAITS = """
import pathlib, subprocess, sys
def test_it_waits():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path("waiting").touch()
    try:
        child.wait()
    finally:
        child.kill()
        child.wait()
"""


class Run:
    """One call of the runner; all its processes bear a mark, by which they are found again."""

    def __init__(self, folder: Path, script: Path = SHELL) -> None:
        self._script = script
        self._mark = uuid.uuid4().hex
        self.logs = folder / "logs"
        self.env = {
            **os.environ,
            "PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "RUN_MARK": self._mark,
            "BOTRIX_LEDGER_URL": "postgresql://nobody@another.invalid/installation",
            "REDIS_URL": "redis://another.invalid",
        }

    async def start(self, *options: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            self._script, "--logs", str(self.logs), *options, env=self.env,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def to_its_end(self, *options: str) -> tuple[int, str, str]:
        """Exit status, stdout, stderr."""
        process = await self.start(*options)
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    def left(self) -> list[psutil.Process]:
        """What bears the mark, and has not ended."""
        found = []
        for process in psutil.process_iter():
            try:
                marked = process.environ().get("RUN_MARK") == self._mark
            except (psutil.NoSuchProcess, psutil.AccessDenied):  # ended, or somebody else's
                continue
            if marked and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found


@pytest.fixture
def run(folder: Path) -> Iterator[Run]:
    made = Run(folder)
    yield made
    left = made.left()
    for process in left:
        process.kill()
    assert left == []


def _tree(folder: Path, test: str) -> Path:
    """The runner beside a test of ours; its path."""
    root = folder / "tree"
    (root / "tests/deployment").mkdir(parents=True)
    shutil.copytree(SCRIPTS, root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for package in ("tests", "tests/deployment"):
        (root / package / "__init__.py").touch()
    (root / "tests/deployment/running_flow.py").write_text(test)
    (root / "tests/test_full_flow.py").touch()
    return root / "scripts" / SHELL.name


@pytest.mark.suite("Valkey")
async def test_it_passes_on_embedded_services(run: Run) -> None:
    status, out, err = await run.to_its_end("--json", "--no-docker", "--only", "exact_totals")
    told = json.loads(out)
    assert (status, told["passed"], told["logs"]) == (0, True, None), err
    names = [step["name"].split()[0] for step in told["steps"]]
    assert names == ["look", "start", "wait", "integration", "tear"]
    assert all(step["status"] == "passed" for step in told["steps"])
    assert "1 passed" in err
    assert not run.logs.exists()


async def test_a_failing_test_leaves_logs(run: Run, folder: Path) -> None:
    run._script = _tree(folder, _FAILS)
    status, out, _ = await run.to_its_end("--no-docker")
    assert status == 1
    assert re.search(r"^failed +\d+\.\d s  integration tests: .* ended with 1", out, re.MULTILINE)
    assert re.search(r"^passed +\d+\.\d s  tear down$", out, re.MULTILINE)
    (collected,) = run.logs.iterdir()
    assert f"the logs are in {collected}" in out
    assert "what came" in (collected / "run.log").read_text()
    assert {"services.log", "line.log"} <= {file.name for file in collected.iterdir()}
    assert "\033" not in out  # no terminal, no colour


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_tears_all_down(run: Run, folder: Path, number: signal.Signals) -> None:
    run._script = _tree(folder, _WAITS)
    process = await run.start("--no-docker", "--keep-alive")

    async def waiting() -> bool:
        assert process.returncode is None, await process.communicate()
        return (folder / "tree/waiting").exists()

    await until(waiting, 120, "the test waits")
    assert len(run.left()) >= 6  # runner, up, line, API, worker, pytest and its child
    process.send_signal(number)
    out = (await process.communicate())[0].decode()
    assert process.returncode == 128 + number
    assert re.search(r"^ended +\d+\.\d s  integration tests$", out, re.MULTILINE)
    assert run.left() == []


async def test_keep_alive_says_how_to_reach_and_end_them(run: Run, folder: Path) -> None:
    run._script = _tree(folder, _PASSES)
    status, out, err = await run.to_its_end("--no-docker", "--keep-alive", "--json")
    told = json.loads(out)
    assert (status, "tear down" in err) == (0, False)
    await asyncio.to_thread(urllib.request.urlopen, f"{told['url']}/ready")
    assert f"end them with: {told['end']}" in err
    ending = await asyncio.create_subprocess_shell(told["end"])
    assert await ending.wait() == 0

    async def ended() -> bool:
        return run.left() == []

    await until(ended, 60, "the services have ended")


async def test_no_python_is_one_line(run: Run, folder: Path) -> None:
    (folder / "bin").mkdir()
    (folder / "bin/dirname").symlink_to(str(shutil.which("dirname")))
    (folder / "bin/bash").symlink_to(str(shutil.which("bash")))
    run._script = _tree(folder, _PASSES)
    run.env |= {"PATH": str(folder / "bin"), "PYTHON": ""}
    status, out, err = await run.to_its_end()
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("no Python 3.11 or newer was found; install one")


def _bare(run: Run, folder: Path) -> None:
    """A Python without packages, and no make."""
    venv.create(folder / "bare", with_pip=False)
    (folder / "bin").mkdir()
    for name in ("dirname", "bash"):
        (folder / "bin" / name).symlink_to(str(shutil.which(name)))
    run._script = _tree(folder, _PASSES)
    run.env |= {"PATH": str(folder / "bin"), "PYTHON": str(folder / "bare/bin/python")}


async def test_no_environment_is_one_line(run: Run, folder: Path) -> None:
    _bare(run, folder)
    status, out, err = await run.to_its_end()
    assert (status, err) == (2, "")
    _, said = out.splitlines()
    assert said.endswith("there is no .venv to run the tests with; set it up: make setup")


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colour_is_for_terminals_that_want_it(run: Run, folder: Path, no_color: str) -> None:
    _bare(run, folder)
    ours, theirs = pty.openpty()
    env = {**run.env, "NO_COLOR": no_color}
    done = subprocess.run([run._script], env=env, stdout=theirs, check=False)
    said = os.read(ours, 65536).decode()
    for end in (ours, theirs):
        os.close(end)
    assert done.returncode == 2
    assert ("\033[31mfailed\033[0m" in said) == (not no_color)


def _standin(run: Run, folder: Path, api: str, **more: Any) -> Path:
    """Puts a stand-in for Docker on the PATH; the file that notes what it was asked."""
    said = {"api": api, "plugin": True, "exited": 0, "key": "none", "asked": str(folder / "asked")}
    (folder / "docker").mkdir()
    for name in ("docker", "docker-compose"):
        program = folder / "docker" / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {_STANDIN} "$0" "$@"\n')
        program.chmod(0o755)
    run.env |= {
        "PATH": f"{folder / 'docker'}:{os.environ['PATH']}", "STANDIN": json.dumps(said | more)
    }  # fmt: skip
    return folder / "asked"


@pytest.mark.parametrize(
    ("plugin", "compose"), [(True, "docker compose"), (False, "docker-compose")]
)
async def test_containers_are_asked_with_their_key(
    run: Run, folder: Path, plugin: bool, compose: str
) -> None:
    key = new_key().text
    system = System(folder / "data", {**FAST, "BOTRIX_API_KEY": key})
    try:
        await system.start()
        await system.worker()
        asked = _standin(run, folder, system.url[7:], plugin=plugin, key=key)
        status, out, err = await run.to_its_end("--only", "exact_totals", "--verbose")
    finally:
        await system.stop()
    assert status == 0, out + err
    assert key not in out + err
    ours = f"{compose} -p botrix-integration "
    assert re.search(r" up .*port=[1-9]\d+$", asked.read_text(), re.MULTILINE)
    verbs = [
        line[len(ours) :].split()[0] for line in asked.read_text().splitlines() if ours in line
    ]
    assert (verbs[0], verbs[-1]) == ("up", "down")
    assert {"port", "ps", "exec"} <= set(verbs)


async def test_a_container_that_ends_is_named(run: Run, folder: Path) -> None:
    asked = _standin(run, folder, "127.0.0.1:9", exited=3)
    status, out, _ = await run.to_its_end()
    assert status == 1
    assert "wait until all is well: the container migrate ended with 3" in out
    (collected,) = run.logs.iterdir()
    names = {file.name for file in collected.iterdir()}
    assert names == {"run.log", "containers.log", "services.log"}
    assert " down -v " in asked.read_text().splitlines()[-1]


@pytest.mark.suite("ShellCheck")
def test_shellcheck_finds_nothing() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck on this machine: the shell script was not checked")
    done = subprocess.run(["shellcheck", SHELL], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)
