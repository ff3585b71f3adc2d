"""What is drawn: exactly as wide and as high as there is room, and never wrong about a job."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botrix.cli.bars import LOOKS, bar, legend
from botrix.cli.board import View, frame
from botrix.cli.meter import Meter, clocked, parts, per_second
from tests.cli.scripted import job

_COUNTS = st.fixed_dictionaries(
    {name: st.integers(0, 10**6) for name in ("created", "existing", "failed", "cancelled")}
)


@given(_COUNTS, st.integers(0, 10**6), st.integers(4, 200))
def test_a_bar_is_as_wide_as_it_shall_be(so_far: dict[str, int], left: int, width: int) -> None:
    total = sum(so_far.values()) + left
    drawn = bar(so_far, total, width).plain
    assert len(drawn) == width
    assert ("·" in drawn) == (left > 0 or total == 0), "full only where nothing is left"
    if width > 4:
        for name, n in so_far.items():
            assert (LOOKS[name].sign in drawn) == (n > 0), "what is there is seen"


def test_words_stand_at_the_same_places_whatever_the_numbers() -> None:
    few, many = ({"created": n, "failed": n, "cancelled": 0} for n in (1, 9_999))
    at = [legend(so_far, 10_000).plain.index("failed") for so_far in (few, many)]
    assert at[0] == at[1]


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("create", ["created", "existing", "failed", "cancelled"]),
        ("remove", ["failed", "cancelled", "deleted"]),
        ("plan", ["to create", "existing", "conflicts", "failed", "cancelled"]),
    ],
)
def test_each_stage_has_words_of_its_own(stage: str, words: list[str]) -> None:
    assert list(parts(job(stage=stage))) == words


def test_what_became_of_accounts_is_never_left_out() -> None:
    assert parts(job(deleted=2))["deleted"] == 2
    assert parts(job(stage="remove", existing=1))["existing"] == 1


def test_a_rate_is_of_the_last_seconds() -> None:
    meter = Meter()
    meter.see(0.0, 0)
    assert (meter.rate, meter.left(100)) == (None, None)
    for second in range(1, 31):
        meter.see(float(second), second * 5 if second <= 15 else 75 + (second - 15) * 10)
    assert meter.rate == pytest.approx(10)
    assert meter.left(325) == pytest.approx(10)
    meter.see(31.0, 0)
    assert meter.rate is None, "a stage that begins anew"


def test_times_and_rates_read_well() -> None:
    assert [clocked(n) for n in (None, 9, 3723, 1e9)] == ["-:--", "0:09", "1:02:03", "-:--"]
    assert [per_second(n) for n in (None, 0, 0.25, 1234.5)] == ["-/s", "0/s", "0.2/s", "1,234/s"]


def _snapshot(workers: int, jobs: int, directories: int, name: str = "x") -> dict[str, Any]:
    worker = {"worker_id": name, "status": "running", "held": 3, "current_job": None}
    worker |= {"recent_per_second": 4.5, "heard_seconds_ago": 2.0}
    one = {**job(id=name, directory=name), "parts": parts(job(created=3)), "done": 3}
    one |= {"accounts_per_second": None, "seconds_left": None}
    directory = {"name": name, "status": "paused", "limit": 8, "reason": name, "limit_reason": ""}
    return {
        "accounts_per_second": 12.0, "line_up": True,
        "accounts": {"created": 3, "existing": 0, "failed": 0},
        "lanes": {"high": 0, "normal": 1, "low": 2}, "jobs": {"running": jobs},
        "workers": [worker] * workers, "open_jobs": [one] * jobs,
        "directories": [directory] * directories,
    }  # fmt: skip


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (40, 12), (80, 11)])
@pytest.mark.parametrize("rows", [(0, 0, 0), (1, 1, 1), (30, 2, 1), (2, 50, 90)])
@pytest.mark.parametrize("name", ["short", "long" * 40, "大学" * 20, "evil\x1b[2J\nname"])
def test_a_frame_fits_the_window(
    width: int, height: int, rows: tuple[int, int, int], name: str
) -> None:
    view = View(_snapshot(*rows, name=name), "http://x", width, height, rates=(1, 2, 0))
    drawn = frame(view)
    lines = drawn.split("\n")
    assert len(lines) <= height
    assert all(line.cell_len <= width for line in lines)
    assert "\x1b" not in drawn.plain
    if height >= 12:
        assert all(title in drawn.plain for title in ("WORKERS", "JOBS", "DIRECTORIES"))


def test_what_does_not_fit_is_counted() -> None:
    drawn = frame(View(_snapshot(3, 50, 3), "http://x", 80, 24)).plain
    assert "JOBS: 9 of 50" in drawn
    assert "WORKERS " in drawn


def test_a_lost_connection_takes_no_line_of_its_own() -> None:
    drawn = [
        frame(View(_snapshot(1, 1, 1), "http://x", 80, 24, lost=lost, silence=61)).plain
        for lost in (None, "no answer")
    ]
    assert "connection lost, trying again (1:01)" in drawn[1]
    assert [len(one.splitlines()) for one in drawn] == [12, 12]
    assert drawn[0].splitlines()[1:] == drawn[1].splitlines()[1:]
