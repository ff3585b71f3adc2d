"""The runner of the integration tests, with containers on a real engine."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.deployment.composed import compose_command
from tests.deployment.engine import run
from tests.deployment.images import ROOT

pytestmark = pytest.mark.deploy


@pytest.mark.timeout(600)
async def test_the_runner_starts_asks_and_tears_down(built: dict[str, str]) -> None:
    command = compose_command()
    if command is None:
        pytest.skip("NOT CHECKED: the runner with containers; there is no compose")
    options = ("--no-build", "--json", "--only", "running_flow")
    process = await asyncio.create_subprocess_exec(
        ROOT / "scripts" / "run_integration_tests.sh", *options,
        env={**os.environ, **built}, stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    said, _ = await process.communicate()
    told = json.loads(said)
    assert told["passed"], told
    assert [step["status"] for step in told["steps"]] == ["passed"] * 5
    shown = [Path(command[0]).name, *command[1:]]
    assert told["steps"][1]["name"] == f"start containers, by {' '.join(shown)}"
    assert run("docker", "ps", "-aq", "--filter", "name=botrix-integration") == ""
