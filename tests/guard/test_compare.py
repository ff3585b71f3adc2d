"""What the guard calls a finding, and what it calls noise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guard import compare, renew
from tests.guard.groups import GROUPS

_BEFORE = {"claim": {"statements": 608.0, "steps": 136_754.0, "calls": 1225.0, "own calls": 539.0}}


def _moved(elsewhere: bool = False, **now: float) -> list[str]:
    row = {**_BEFORE["claim"], **{name.replace("_", " "): n for name, n in now.items()}}
    return compare.moved("ledger", _BEFORE, {"claim": row}, elsewhere=elsewhere)


def test_what_is_as_it_was_is_no_finding() -> None:
    assert _moved() == []


def test_one_statement_more_is_a_finding_and_says_what_moved_from_what_to_what() -> None:
    assert _moved(statements=609) == ["ledger: claim: statements grew from 608 to 609 (+0.2%)"]


def test_what_differs_from_run_to_run_may_do_so_and_no_more() -> None:
    assert _moved(calls=1229, steps=137_000) == []
    assert len(_moved(calls=1231, steps=138_000)) == 2


def test_what_shrank_a_little_may_stay_and_what_shrank_much_is_to_be_recorded() -> None:
    assert _moved(statements=550) == []
    (line,) = _moved(statements=500)
    assert line.startswith("ledger: claim: statements shrank from 608 to 500 (-17.8%)")


def test_a_count_that_was_nothing_is_a_finding_when_it_is_something() -> None:
    assert _moved(line__round_trips=1) == ["ledger: claim: line  round trips grew from 0 to 1"]


def test_other_versions_may_count_otherwise_what_they_decide() -> None:
    assert _moved(elsewhere=True, calls=1500, steps=100_000) == []
    assert len(_moved(elsewhere=True, calls=1600)) == 1
    assert len(_moved(elsewhere=True, statements=609)) == 1


def test_what_nobody_recorded_is_a_finding_and_so_is_what_nobody_counts() -> None:
    assert compare.moved("g", {}, _BEFORE) == ["g: claim: is counted and not recorded"]
    assert compare.moved("g", _BEFORE, {}) == ["g: claim: is recorded and not counted"]


def test_a_bar_holds_whatever_is_recorded() -> None:
    kept = {"wait": {"bytes in the lane, each": 201.0}}
    (line,) = compare.moved("line", kept, kept)
    assert line.endswith("is 201, above the bar of 200")


def test_what_is_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "RECORDED", tmp_path / "recorded.json")
    compare.write({"ledger": _BEFORE})
    assert compare.read() == {"versions": compare.versions(), "ledger": _BEFORE}


def test_renewing_keeps_what_is_as_good_as_it_was() -> None:
    now = {"claim": {"statements": 607.0, "steps": 136_755.0, "calls": 1240.0, "new": 1.0}}
    kept = renew._without_noise(_BEFORE, now)["claim"]
    assert kept == {"statements": 607, "steps": 136_754, "calls": 1240, "new": 1}


def test_all_groups_are_recorded_and_no_other() -> None:
    assert list(compare.read()) == ["versions", *(group.name for group in GROUPS)]
