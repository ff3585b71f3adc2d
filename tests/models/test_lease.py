"""Spin searches every order of steps of `lease.pml`: the rules hold; one that is broken is caught;
and a rule that another covers for is not needed alone.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

_MODEL = Path(__file__).with_name("lease.pml")
_MISSING = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.suite("Spin"),
    pytest.mark.skipif(
        bool(_MISSING),
        reason=f"no {' and no '.join(_MISSING)}: NOT CHECKED that an account is never created"
        " twice, that every job ends, and that what lands late is found (apt-get install spin gcc)",
    ),
]

_SAFETY = ("never_two", "created", "untouched", "stays")
_LIVENESS = ("ends", "no_orphan")
_SMALL = ("CRASHES=2", "MISTAKES=1")
_BROKEN = [
    ("never_two", "NO_UNIQUE"),
    ("never_two", "NEW_NAME"),
    ("never_two", "RENAME_IN_DOUBT"),
    ("created", "ADOPT_FOREIGN"),
    ("created", "NO_FENCE"),
    ("untouched", "ADOPT_FOREIGN"),
    ("stays", "NO_FENCE"),
    ("ends", "NO_POISON"),
    ("ends", "NO_DISPATCHER"),
    ("ends", "FREE_ONCE"),
    ("ends", "NO_LIVE_CHECK FREE_AT_MARK"),
    ("no_orphan", "NO_RECONCILER"),
    ("no_orphan", "LOOK_ONCE"),
    ("no_orphan", "DELETED_IS_OVER"),
]
_COVERED = ("NO_FIND", "NO_LIVE_CHECK", "FREE_AT_MARK", "NO_OWNER_CHECK", "NO_LIVE_RECORD")

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The verifier of the model under some switches; all properties are in each."""

    @functools.cache
    def built(*switches: str, optimise: str) -> Path:
        folder = tmp_path_factory.mktemp("lease")
        shutil.copy(_MODEL, folder)
        _run(folder, "spin", "-a", *(f"-D{switch}" for switch in switches), _MODEL.name)
        # So much memory, and no hashing that forgets states: a search that does not fit must fail.
        _run(folder, "gcc", optimise, "-w", "-DMEMLIM=1800", "-DNFAIR=3", "-o", "pan", "pan.c")
        return folder

    return built


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=110, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{said}"
    return said


def _search(folder: Path, wanted: str) -> str:
    # Weak fairness: what can always go on does so at last. Without it nobody need ever do anything.
    fair = ["-f"] if wanted in _LIVENESS else []
    said = _run(folder, "./pan", "-a", *fair, "-m100000", "-w22", "-N", wanted)
    assert f"never claim         \t+ ({wanted})" in said, said
    return said


def _holds(said: str) -> None:
    assert re.search(r"depth reached \d+, errors: 0$", said, re.MULTILINE), said
    assert "Full statespace search" in said, said
    for doubtful in ("warning", "not completed", "too small", "MEMLIM", "out of memory", "abort"):
        assert doubtful not in said, said


@pytest.mark.parametrize("wanted", _SAFETY)
def test_holds_in_every_order_of_steps(build: Build, wanted: str) -> None:
    _holds(_search(build(optimise="-O2"), wanted))


def test_an_entry_that_lands_late_is_found(build: Build) -> None:
    _holds(_search(build(optimise="-O2"), "no_orphan"))


def test_every_job_ends(build: Build) -> None:
    """The costliest search by far, hence with one session less that is declared lost by mistake."""
    _holds(_search(build("MISTAKES=1", optimise="-O2"), "ends"))


def test_every_step_of_the_model_can_happen(build: Build) -> None:
    """Or the properties would hold because nothing does."""
    said = _search(build(*_SMALL, optimise="-O1"), "never_two")
    never = re.findall(r"^\tlease\.pml:\d+, state \d+, (.+)$", said, re.MULTILINE)
    assert never, said
    # The ends of the processes, and the place where the reconciler rests under a switch.
    assert set(never) <= {'"-end-"', '"(0)"'}, said


@pytest.mark.parametrize(("wanted", "switches"), _BROKEN)
def test_a_broken_rule_is_caught(build: Build, wanted: str, switches: str) -> None:
    said = _search(build(*switches.split(), *_SMALL, optimise="-O0"), wanted)
    errors = re.search(r"errors: (\d+)", said)
    assert errors is not None, said
    assert int(errors[1]) >= 1, said
    assert ("acceptance cycle" if wanted in _LIVENESS else "assertion violated") in said, said


@pytest.mark.parametrize("switch", _COVERED)
def test_a_rule_that_another_covers_for_is_not_needed_alone(build: Build, switch: str) -> None:
    folder = build(switch, *_SMALL, optimise="-O1")
    for wanted in (*_SAFETY, *_LIVENESS):
        _holds(_search(folder, wanted))
