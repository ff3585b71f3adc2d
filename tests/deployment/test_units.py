"""The units, as systemd reads them: whether they are right, and how little their processes can do.

`test_booted.py` runs them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from botrix.settings import _SECRET, _VARIABLES, Settings

_FOLDER = Path(__file__).parents[2] / "deployment"
_UNITS = ("botrix-worker@.service", "botrix-api.service", "botrix-migrate.service")
_GIVEN = {"NO_COLOR", "NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM"}


def _analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("NOT CHECKED: the units; there is no systemd-analyze on this machine")
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, check=False
    )


def _settings(unit: str) -> dict[str, str]:
    lines = (_FOLDER / unit).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]\w+=", line))


@pytest.mark.suite("systemd")
@pytest.mark.parametrize("unit", _UNITS)
def test_systemd_reads_the_unit_and_its_drop_ins_without_a_remark(unit: str, folder: Path) -> None:
    program = folder / "botrix"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = (_FOLDER / unit).read_text().replace("/opt/botrix/bin/botrix", str(program))
    for name in _UNITS:  # the one wants another
        shutil.copy(_FOLDER / name, folder / name)
    (folder / unit).write_text(text)
    for example in _FOLDER.glob("*.d/*.example"):
        drop_in = folder / f"{unit}.d" / example.stem
        drop_in.parent.mkdir(exist_ok=True)
        shutil.copy(example, drop_in)
    said = _analyze("verify", "--man=no", "--recursive-errors=no", folder / unit)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


@pytest.mark.suite("systemd")
@pytest.mark.parametrize("unit", _UNITS)
def test_what_a_process_of_the_unit_can_do_is_little(unit: str) -> None:
    said = _analyze("security", "--offline=true", "--json=short", "--threshold=15", _FOLDER / unit)
    open_points = [
        f"{point['name'] or point['json_field']}: {point['exposure']}"
        for point in json.loads(said.stdout)
        if not point["set"] and point["exposure"]
    ]
    assert said.returncode == 0, open_points
    assert "IPAddress" not in (_FOLDER / unit).read_text(), "the address list is a drop-in"


def test_a_stop_leaves_the_worker_its_grace() -> None:
    grace = Settings.read({}).grace
    assert grace < float(_settings("botrix-worker@.service")["TimeoutStopSec"])


def test_the_example_names_every_setting_and_no_other() -> None:
    text = (_FOLDER / "worker.env.example").read_text()
    named = set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", text, re.MULTILINE))
    files = {f"{variable}_FILE": variable for variable in _SECRET}
    known = {variable for variable, _ in _VARIABLES.values()} - _GIVEN
    assert {files.get(name, name) for name in named} - {"STAGING_TOKEN"} == known


def test_what_the_example_comments_out_are_the_defaults() -> None:
    text = (_FOLDER / "worker.env.example").read_text()
    shown = dict(re.findall(r"^# ([A-Z][A-Z_]+)=([^/\n]+)$", text, re.MULTILINE))
    assert Settings.read(shown) == Settings.read({})
    Settings.read(dict(re.findall(r"^([A-Z][A-Z_]+)=(.*)$", text, re.MULTILINE)))
