"""When the jobs of a directory are paused, and how they go on."""

from __future__ import annotations

import pytest

from botrix.breaker import Mood, Window, judge, probed
from botrix.states import DirectoryStatus

WORKING, PAUSED, TRYING, GIVEN_UP = DirectoryStatus
DAY = 86_400.0


def paused(probes: int = 1, since: float = 100.0) -> Mood:
    return Mood(PAUSED, "HTTP 401", since, since + 1, probes, since)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (Window(fatal="credentials refused: HTTP 401"), "credentials refused"),
        (Window(done=99, fatal="TLS failure: expired"), "TLS failure"),
        (Window(done=5, failed=20, problem="HTTP 500"), "20 of 25 calls failed, the last: HTTP 5"),
        (Window(failed=3, unavailable=3, problem="HTTP 503"), "not available: HTTP 503"),
    ],
)
def test_what_pauses_a_directory(seen: Window, told: str) -> None:
    mood = judge(Mood(), seen, 100.0)
    assert (mood.status, mood.since, mood.probe_at, mood.failing_since) == (PAUSED, 100, 101, 100)
    assert told in mood.reason


@pytest.mark.parametrize(
    "seen",
    [
        Window(),
        Window(done=1, failed=19),
        Window(done=20, failed=30),
        Window(done=1, failed=5, unavailable=5),
        Window(failed=2, unavailable=2),
    ],
)
def test_what_does_not(seen: Window) -> None:
    assert judge(Mood(), seen, 100.0).status is WORKING


def test_maintenance_pauses_for_as_long_as_was_asked() -> None:
    mood = judge(Mood(), Window(fatal="maintenance: HTTP 503", after=600.0), 100.0)
    assert mood.probe_at == 700


def test_probes_come_ever_less_often() -> None:
    mood, waits, now = judge(Mood(), Window(fatal="x"), 7.0), [], 7.0
    for _ in range(9):
        waits.append(mood.probe_at - now)
        now = mood.probe_at
        mood = probed(mood, "HTTP 401", now, DAY)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert (mood.since, mood.failing_since) == (7, 7)


def test_one_call_that_works_resumes_it() -> None:
    mood = probed(paused(), "", 200.0, DAY)
    assert mood.status is TRYING
    assert judge(mood, Window(), 201.0) == mood
    assert judge(mood, Window(done=1, failed=1), 201.0) == Mood(since=201.0)


@pytest.mark.parametrize("seen", [Window(failed=1, problem="HTTP 500"), Window(fatal="HTTP 403")])
def test_one_that_fails_pauses_it_for_longer(seen: Window) -> None:
    mood = judge(probed(paused(probes=3), "", 200.0, DAY), seen, 201.0)
    assert (mood.status, mood.probe_at, mood.failing_since) == (PAUSED, 209, 100)


def test_what_comes_late_from_before_the_pause_changes_nothing() -> None:
    assert judge(paused(), Window(done=9, fatal="x"), 300.0) == paused()
    assert probed(Mood(), "HTTP 401", 300.0, DAY) == Mood()


def test_after_a_day_its_jobs_shall_end_and_it_may_work_again() -> None:
    mood = probed(paused(), "HTTP 401", 100.0 + DAY, DAY)
    assert (mood.status, mood.reason) == (GIVEN_UP, "HTTP 401")
    assert judge(mood, Window(failed=50), 1e6).status is GIVEN_UP
    assert judge(mood, Window(done=1), 1e6).status is WORKING
