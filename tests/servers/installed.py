"""Programs that some tests need, each in an environment of its own, made once from a pinned list.

A list is `tests/servers/requirements/<name>.lock` (hashed; renewed by `make lock`), or for
programs of Node `<name>/package-lock.json`. What was made is kept in `.tools/` and named by its
list, so that a changed list makes a new one.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / ".tools"
_LISTS = Path(__file__).parent / "requirements"


@cache
def environment(name: str) -> Path:
    """The folder of a virtual environment that holds what the list names. Raises
    CalledProcessError with pip's words where it cannot be had."""
    listed = _LISTS / f"{name}.lock"
    made = TOOLS / f"{name}-{hashlib.sha256(listed.read_bytes()).hexdigest()[:12]}"
    with alone(name):
        if not (made / "ready").exists():
            shutil.rmtree(made, ignore_errors=True)
            _run(sys.executable, "-m", "venv", str(made))
            _run(
                str(made / "bin" / "python"), "-m", "pip", "install", "-q",
                "--disable-pip-version-check", "--require-hashes", "-r", str(listed),
            )  # fmt: skip
            (made / "ready").touch()
    return made


@cache
def node_programs(name: str) -> Path:
    """The folder of the programs that the list names. Raises CalledProcessError with npm's words
    where they cannot be had, or FileNotFoundError where there is no npm."""
    listed = _LISTS / name / "package-lock.json"
    made = TOOLS / f"{name}-node-{hashlib.sha256(listed.read_bytes()).hexdigest()[:12]}"
    with alone(f"{name}-node"):
        if not (made / "ready").exists():
            shutil.rmtree(made, ignore_errors=True)
            shutil.copytree(listed.parent, made)
            _run("npm", "ci", "--prefix", str(made), "--ignore-scripts", "--no-audit", "--no-fund")
            (made / "ready").touch()
    return made / "node_modules" / ".bin"


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Two runs of the tests at once make it once."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
