"""A Docker engine for the tests: the one that answers, or our own for as long as they run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_WITHIN = 60.0


@contextmanager
def engine() -> Iterator[str | None]:
    """Yields why there is none, or None; `docker` then finds it by DOCKER_HOST."""
    if shutil.which("docker") is None:
        yield "there is no docker command"
    elif _answers():
        yield None
    elif os.geteuid() != 0 or shutil.which("dockerd") is None:
        yield "no Docker engine answers, and none can be started (it takes root and dockerd)"
    else:
        with tempfile.TemporaryDirectory(prefix="bx-engine-", ignore_cleanup_errors=True) as folder:
            yield from _own(Path(folder))


def _own(folder: Path) -> Iterator[str | None]:
    socket, log = f"unix://{folder}/socket", (folder / "log").open("wb")
    options = ("--data-root", folder / "data", "--exec-root", folder / "exec", "-H", socket,
               "--pidfile", folder / "pid")  # fmt: skip
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = socket
    with log, subprocess.Popen(["dockerd", *options], stdout=log, stderr=log) as daemon:
        try:
            up = _until_up(daemon)
            yield None if up else f"dockerd does not start: {_last_line(folder / 'log')}"
        finally:
            daemon.terminate()
            daemon.wait(60)
            os.environ.pop("DOCKER_HOST")
            if before is not None:
                os.environ["DOCKER_HOST"] = before


def _until_up(daemon: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _START_WITHIN
    while time.monotonic() < deadline and daemon.poll() is None:
        if _answers():
            return True
        time.sleep(0.2)
    return False


def _answers() -> bool:
    asked = subprocess.run(["docker", "info"], capture_output=True, check=False)
    return asked.returncode == 0


def _last_line(log: Path) -> str:
    return (log.read_text(errors="replace").splitlines() or ["it said nothing"])[-1][:300]


def run(*command: str | Path, stdin: str | None = None, **environ: str) -> str:
    """Its output. Raises AssertionError, with what it said, where it fails."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=False,
        env={**os.environ, **environ},
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}"[
        -4000:
    ]
    return done.stdout
