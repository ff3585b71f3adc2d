"""The demonstration, which is the first thing that most people run."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT

import pytest

from tests.guides import ROOT


@pytest.mark.timeout(200)
async def test_it_loses_and_doubles_nothing_though_a_worker_is_killed() -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "demo/run.py", cwd=ROOT, env=environ, stdout=PIPE, stderr=STDOUT
    )
    out, _ = await process.communicate()
    said = out.decode()
    assert process.returncode == 0, said
    assert "was sent SIGKILL" in said
    assert said.rstrip().endswith("exact"), said
    assert "NOT exact" not in said
    assert "Traceback" not in said
