"""Starts the services, runs the integration tests, tears all down again, and says how it went.

This is what run_integration_tests.sh and run_integration_tests.ps1 call, which only find a Python.
The services run in containers where a Docker engine answers, else embedded (Valkey, SQLite, the API
and a worker). The tests ask whatever runs (tests/deployment/running_flow.py) and then start servers
of their own (tests/test_full_flow.py). Only the standard library is needed here, `.venv` for what
is started. Exit status: 0 passed, 1 failed, 2 could not begin, 130 or 143 ended by a signal.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from programs import ROOT, SIGNALS, Ended, Failed, Programs, end, launch

PROJECT = "botrix-integration"  # of the containers: no other installation is touched
TESTS = ("tests/deployment/running_flow.py", "tests/test_full_flow.py")
_OURS = ("BOTRIX_", "REDIS_URL", "WORKER_ID", "MAX_RETRIES", "HEALTH_CHECK_INTERVAL")
_HEALTHY, _LONG = 180.0, 1800.0  # seconds: a start, a build or the tests
_COLOURS = {"passed": "32", "failed": "31", "ended": "33"}


class Embedded:
    """Everything on this machine as processes, with a fresh folder for their data."""

    name = "embedded: Valkey, SQLite, API and a worker"

    def __init__(self, folder: Path, python: str) -> None:
        self._folder, self._python = folder, python
        self._log = folder / "services.log"
        self._process: Any = None
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.environ: dict[str, str] = {}

    def start(self) -> None:
        if sys.platform != "linux":
            raise Failed("the embedded services need Linux; start Docker and try again", 2)
        port, data = self.url.rpartition(":")[2], str(self._folder / "data")
        command = [self._python, "-m", "botrix", "up", "--port", port, "--data", data]
        with SIGNALS.held(), self._log.open("ab") as log:
            self._process = launch(command, log, _environ())

    def ready(self) -> bool:
        """Whether it is worth asking. Raises Failed where they have ended."""
        if self._process.poll() is not None:
            last = self._log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise Failed(f"the services ended by themselves: {last[:300]}")
        return True

    def collect(self, into: Path) -> None:
        for log in (self._log, self._folder / "data" / "line.log"):
            if log.exists():
                shutil.copy(log, into)

    def stop(self) -> None:
        if self._process is not None:
            end(self._process, signal.SIGTERM, 60)

    def how_to_end(self) -> str:
        return f"kill {self._process.pid} && rm -r {self._folder}"


class Composed:
    """The services of docker-compose.yml, as a project of their own."""

    def __init__(
        self, folder: Path, programs: Programs, compose: Sequence[str], *, build: bool
    ) -> None:
        self._key, self._programs = folder / "api_key", programs
        self._build = "--build" if build else "--no-build"
        self._compose = (*compose, "-p", PROJECT)
        self.name = f"containers, by {' '.join(compose)}"
        self.url = ""
        self.environ = {"BOTRIX_API_KEY_FILE": str(self._key)}
        # A port of its own: another installation may run on this machine.
        self._environ = {**os.environ, "BOTRIX_PORT": str(_free_port())}

    def start(self) -> None:
        self._run("up", "-d", self._build, within=_LONG)
        self.url = f"http://{self._run('port', 'api', '8080').strip()}"

    def ready(self) -> bool:
        """All are healthy but those that have done their work. Raises Failed where one failed."""
        ids = self._run("ps", "-a", "-q").split()
        found = json.loads(self._programs.run("docker", "inspect", *ids))
        states = {one["Name"].lstrip("/"): one["State"] for one in found}
        for name, state in states.items():
            if state["Status"] == "exited" and state["ExitCode"]:
                raise Failed(f"the container {name} ended with {state['ExitCode']}")
        waiting = [name for name, state in states.items() if not _settled(state)]
        if not waiting:
            self._fetch_key()
        return not waiting

    def _fetch_key(self) -> None:
        """Into a file that only this user may read; it comes into no log."""
        asked = ("exec", "-T", "api", "sh", "-c", 'cat "$BOTRIX_API_KEY_FILE"')
        key = self._run(*asked, secret=True)
        self._key.touch(mode=0o600)
        self._key.write_text(key)

    def collect(self, into: Path) -> None:
        for name, question in (("containers", ("ps", "-a")), ("services", ("logs", "--no-color"))):
            with suppress(Failed):
                (into / f"{name}.log").write_text(self._run(*question))

    def stop(self) -> None:
        self._run("down", "-v", "--remove-orphans", "--timeout", "60", within=_HEALTHY)

    def how_to_end(self) -> str:
        return f"{' '.join(self._compose)} down -v"

    def _run(self, *command: str, **more: Any) -> str:
        return self._programs.run(*self._compose, *command, env=self._environ, **more)


def _settled(state: dict[str, Any]) -> bool:
    """Of a container, as `docker inspect` tells it."""
    health = state.get("Health", {"Status": "healthy"})["Status"]
    return state["Status"] == "exited" or (state["Status"], health) == ("running", "healthy")


@dataclass
class Step:
    """status: passed, failed or ended (by a signal). error: one line, where it failed."""

    name: str
    status: str
    seconds: float
    error: str = ""


class IntegrationRun:
    """One run, from choosing the services to the summary."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._screen = sys.stderr if options.json else sys.stdout
        self._folder = Path(tempfile.mkdtemp(prefix="bx-it-"))
        self._programs = Programs(self._folder / "run.log", self._screen, options.verbose)
        self._steps: list[Step] = []
        self._services: Embedded | Composed | None = None
        self._logs: Path | None = None
        self._kept = False

    def go(self) -> int:
        """Exit status."""
        status = 0
        try:
            self._all()
        except Failed as error:
            status = error.status
        except Ended:
            status = 128 + SIGNALS.came
        with suppress(Ended), SIGNALS.held():
            if not self._kept:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._summary(status)
        return status

    def _all(self) -> None:
        with self._step("look for Python and Docker"):
            python = self._python()
            services = self._services = self._choose(python)
        try:
            with self._step(f"start {services.name}"):
                services.start()
            with self._step("wait until all is well"):
                self._until_well(services)
            self._kept = self._options.keep_alive
            with self._step("integration tests"):
                self._test(services, python)
        except (Failed, Ended) as error:
            self._kept = self._kept and isinstance(error, Failed)
            with SIGNALS.held():
                self._collect(services)
            raise
        finally:
            if not self._kept:
                with SIGNALS.held(), self._step("tear down"):
                    services.stop()

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        began, step = time.monotonic(), Step(name, "passed", 0.0)
        self._say(f"{name} …")
        try:
            yield
        except Failed as error:
            step.status, step.error = "failed", str(error)
            raise
        except Ended:
            step.status = "ended"
            raise
        finally:
            step.seconds = round(time.monotonic() - began, 1)
            self._steps.append(step)

    def _python(self) -> str:
        """The interpreter that can run the project: this one, or the one of .venv."""
        if all(find_spec(name) for name in ("pytest_asyncio", "asyncpg", "redis")):
            return sys.executable
        for path in (ROOT / ".venv/bin/python", ROOT / ".venv/Scripts/python.exe"):
            if path.exists():
                return str(path)
        if shutil.which("make") is None:
            raise Failed("there is no .venv to run the tests with; set it up: make setup", 2)
        self._programs.run("make", "setup", within=_LONG)
        return str(ROOT / ".venv/bin/python")

    def _choose(self, python: str) -> Embedded | Composed:
        """Containers where there is an engine that answers."""
        if self._options.no_docker or not shutil.which("docker") or not self._answers("info"):
            return Embedded(self._folder, python)
        command = ("docker", "compose") if self._answers("compose", "version") else None
        if command is None and shutil.which("docker-compose"):
            command = ("docker-compose",)
        if command is None:
            return Embedded(self._folder, python)
        build = not self._options.no_build
        return Composed(self._folder, self._programs, command, build=build)

    def _answers(self, *question: str) -> bool:
        try:
            self._programs.run("docker", *question, within=20)
        except Failed as error:
            self._say(f"{error}; going on without it")
            return False
        return True

    def _until_well(self, services: Embedded | Composed) -> None:
        deadline = time.monotonic() + _HEALTHY
        while not (services.ready() and _well(services.url)):
            if time.monotonic() > deadline:
                raise Failed(f"not all services were well within {_HEALTHY:.0f} s; see their logs")
            time.sleep(0.3)

    def _test(self, services: Embedded | Composed, python: str) -> None:
        command = [python, "-m", "pytest", "-v" if self._options.verbose else "-q", *TESTS]
        command += ["-k", self._options.only] if self._options.only else []
        environ = {**_environ(), **services.environ, "BOTRIX_URL": services.url}
        self._programs.run(*command, within=_LONG, env=environ, shown=True)

    def _collect(self, services: Embedded | Composed) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        self._logs = Path(self._options.logs).absolute() / f"{stamp}-{os.getpid()}"
        try:
            self._logs.mkdir(parents=True)
            services.collect(self._logs)
            shutil.copy(self._programs.log, self._logs)
        except OSError as error:
            self._say(f"the logs were not all collected: {error}; choose another --logs")

    def _summary(self, status: int) -> None:
        kept = self._services if self._kept else None
        logs = str(self._logs) if self._logs else None
        if self._options.json:
            told = {"passed": status == 0, "status": status, "logs": logs}
            alive = {"url": kept.url, "end": kept.how_to_end()} if kept else {}
            print(json.dumps({**told, **alive, "steps": [asdict(step) for step in self._steps]}))
        for step in self._steps:
            error = f": {step.error}" if step.error else ""
            self._say(f"{self._coloured(step.status)} {step.seconds:7.1f} s  {step.name}{error}")
        if logs:
            self._say(f"the logs are in {logs}")
        if kept:
            given = [f"{name}={value}" for name, value in kept.environ.items()]
            self._say(f"the services go on: {' '.join([kept.url, *given])}")
            self._say(f"end them with: {kept.how_to_end()}")

    def _coloured(self, status: str) -> str:
        plain = os.environ.get("NO_COLOR") or not self._screen.isatty()
        return status if plain else f"\033[{_COLOURS[status]}m{status}\033[0m"

    def _say(self, line: str) -> None:
        with suppress(BrokenPipeError):
            print(line, file=self._screen, flush=True)


def _environ() -> dict[str, str]:
    """Of this process, less what would lead the tests to another installation."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


def _well(url: str) -> bool:
    """Ledger, line and a worker are up. No proxy is asked: it is this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/health", timeout=5) as answer:
            return bool(json.load(answer)["status"] == "ok")
    except (OSError, ValueError, KeyError):
        return False


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def parser() -> argparse.ArgumentParser:
    """The options; those of the .ps1 are the same, and a test compares them."""
    made = argparse.ArgumentParser(
        prog="run_integration_tests", description="Runs the integration tests.", allow_abbrev=False
    )
    made.add_argument("--keep-alive", action="store_true", help="leave the services running")
    made.add_argument("--verbose", action="store_true", help="show all that is said")
    made.add_argument(
        "--no-docker", action="store_true", help="embedded, also where there is Docker"
    )
    made.add_argument(
        "--no-build", action="store_true", help="take the images as they are, not built anew"
    )
    made.add_argument("--json", action="store_true", help="the summary for programs, on stdout")
    made.add_argument(
        "--only", metavar="NAMES", help="only these tests: an expression of pytest -k"
    )
    made.add_argument(
        "--logs", metavar="FOLDER", default=str(ROOT / ".botrix" / "integration"),
        help="where logs are collected after a failure (%(default)s)",
    )  # fmt: skip
    return made


def main() -> int:
    """Exit status."""
    options = parser().parse_args()
    SIGNALS.take()
    return IntegrationRun(options).go()


if __name__ == "__main__":
    sys.exit(main())
