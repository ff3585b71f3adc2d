"""Every command of the documents runs, as it stands there."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.system import System

_ROOT = Path(__file__).parents[1]
_COMMAND = re.compile(r"^    ((?:make|curl|\.venv/bin/botrix) .*)$", re.MULTILINE)


def _commands(page: str) -> list[str]:
    return _COMMAND.findall((_ROOT / page).read_text())


@pytest.mark.parametrize("system", ["sqlite"], indirect=True)
async def test_the_commands_of_the_readme_run(system: System) -> None:
    await system.worker()
    env = {
        **os.environ,
        "BOTRIX_URL": system.url,
        "BOTRIX_DATA": str(system.settings.data),
        "STAGING_TOKEN": "x",
    }
    asked = [command for command in _commands("README.md") if not command.startswith("make")]
    assert len(asked) >= 7
    for command in asked:
        here = command.replace("http://localhost:8080", system.url)
        here = here.replace(".venv/bin/botrix", "python -m botrix")
        run = await asyncio.create_subprocess_shell(
            f"PATH={Path(sys.executable).parent}:$PATH; {here}",
            env=env, cwd=_ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said = (await run.communicate())[0].decode()
        assert run.returncode == 0, f"{command}: {said}"
        assert said.strip(), command
        assert "Traceback" not in said


def test_the_targets_of_the_documents_are_there() -> None:
    for page in ("README.md", "benchmarks/README.md"):
        for command in _commands(page):
            if command.startswith("make"):
                done = subprocess.run(
                    ["make", "-n", *command.split()[1:]], cwd=_ROOT, capture_output=True,
                    check=False,
                )  # fmt: skip
                assert done.returncode == 0, (command, done.stderr)
