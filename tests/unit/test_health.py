"""The health check of a worker reads the worker's own heartbeat."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from botrix.cli import main
from botrix.worker.word import leave_word


def _check(file: Path, *options: str) -> tuple[int, str]:
    environ = {"BOTRIX_HEALTH_FILE": str(file), "HEALTH_CHECK_INTERVAL": "10"}
    result = CliRunner().invoke(main, ["health", *options], env=environ)
    return result.exit_code, result.output


@pytest.mark.parametrize(("age", "code"), [(0, 0), (29, 0), (31, 1), (3600, 1)])
def test_a_heartbeat_is_fresh_for_three_intervals(tmp_path: Path, age: int, code: int) -> None:
    file = tmp_path / "health"
    leave_word(file, json.dumps({"status": "running"}))
    os.utime(file, (time.time() - age,) * 2)
    assert _check(file)[0] == code


def test_it_says_what_the_worker_said(tmp_path: Path) -> None:
    file = tmp_path / "health"
    leave_word(file, json.dumps({"status": "running", "held": 3}))
    assert _check(file) == (0, "running\n")
    assert json.loads(_check(file, "--json")[1]) == {"status": "running", "held": 3}


@pytest.mark.parametrize("content", [None, "", "half a wor", "\x00"])
def test_no_worker_is_one_line(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "health"
    if content is not None:
        file.write_text(content)
    code, said = _check(file)
    assert code == 1
    assert said == f"Error: no worker has written {file} yet; is one running?\n"


def test_a_full_disk_ends_no_worker(tmp_path: Path) -> None:
    leave_word(tmp_path / "no" / "such" / "folder", "{}")


def test_an_api_that_does_not_answer_is_one_line() -> None:
    result = CliRunner().invoke(main, ["health", "--url", "http://127.0.0.1:1/ready"])
    assert result.exit_code == 1
    assert "does not answer" in result.output
