"""What a worker is allowed after a report, by a clock that the test sets."""

from __future__ import annotations

from botrix.breaker import Mood, Window
from botrix.ledger.governing import PRESENT, Governed, Report, Standing, User, govern, probed, used
from botrix.states import DirectoryStatus
from botrix.throttle import Level, Observed

NOW = 1000.0
FATAL = "credentials refused: HTTP 403"


def report(demand: int = 9, seen: Observed | None = None, **window: object) -> Report:
    made = Window(**window)  # type: ignore[arg-type]
    return Report("t", "d", demand, 64, seen or Observed(), made)


def given(status: DirectoryStatus, **more: object) -> Governed:
    mood = Mood(status, "why", NOW - 9, NOW + 9, 2, NOW - 9)
    return Governed(mood, Level(limit=8), decided_at=NOW - 1, **more)  # type: ignore[arg-type]


def test_a_worker_of_which_nothing_is_heard_keeps_its_share_for_a_while() -> None:
    row = given(DirectoryStatus.WORKING)
    users = {"gone": User(9, 8, NOW)}
    _, _, at_once = govern(row, users, "s", report(), NOW + 1)
    _, _, later = govern(row, users, "s", report(), NOW + PRESENT + 0.1)
    assert (at_once.share, later.share) == (0, 8)


def test_one_that_is_tried_gets_one_call_of_all_workers() -> None:
    row = given(DirectoryStatus.TRYING)
    row, mine, told = govern(row, {}, "a", report(), NOW)
    assert (told.share, told.limit) == (1, 1)
    _, _, other = govern(row, {"a": mine}, "b", report(), NOW)
    assert other.share == 0


def test_one_that_was_given_up_works_again_whatever_was_said_before() -> None:
    row = given(DirectoryStatus.GIVEN_UP, window=Window(began=NOW - 1, failed=30, fatal=FATAL))
    row, _, told = govern(row, {}, "s", report(done=1), NOW)
    assert told.status is DirectoryStatus.WORKING
    row, _, told = govern(row, {}, "s", report(), NOW + 1)
    assert told.status is DirectoryStatus.WORKING


def test_failures_that_several_workers_see_count_together() -> None:
    row = Governed()
    for session, expected in (("a", DirectoryStatus.WORKING), ("b", DirectoryStatus.PAUSED)):
        row, _, told = govern(row, {}, session, report(failed=10, problem="HTTP 500"), NOW)
        assert told.status is expected


def test_failures_of_long_ago_do_not_count() -> None:
    row, _, _ = govern(Governed(), {}, "a", report(failed=19, problem="HTTP 500"), NOW)
    _, _, told = govern(row, {}, "a", report(failed=1, problem="HTTP 500"), NOW + 11)
    assert told.status is DirectoryStatus.WORKING


def test_what_was_seen_is_gathered_until_there_is_enough() -> None:
    row = Governed(level=Level(limit=2), decided_at=NOW, most=64)
    seen = Observed(3, 0.15, saturated=True)
    row, _, _ = govern(row, {}, "a", report(seen=seen), NOW + 0.6)
    assert (row.level.limit, row.seen.operations) == (2, 3)
    row, _, told = govern(row, {}, "b", report(seen=seen), NOW + 0.7)
    assert (told.limit, row.seen.operations) == (4, 0)


def test_what_was_seen_before_a_time_without_work_is_forgotten() -> None:
    row = Governed(level=Level(limit=4, tried_from=2), seen=Observed(9, 1.0), decided_at=NOW)
    row, _, told = govern(row, {}, "a", report(), NOW + 60)
    assert (told.limit, row.seen.operations) == (2, 0)
    row = Governed(level=Level(limit=4), seen=Observed(99, 1.0, saturated=True), decided_at=NOW)
    _, _, told = govern(row, {}, "a", report(), NOW + 60)
    assert told.limit == 4


def test_a_good_probe_forgets_failures_and_waits() -> None:
    row = given(DirectoryStatus.PAUSED, window=Window(failed=30), not_before=NOW + 99)
    row = probed(row, "", NOW, 60.0)
    assert (row.mood.status, row.window.failed, row.not_before) == (DirectoryStatus.TRYING, 0, 0)


def test_what_people_are_told() -> None:
    paused = used(Standing(given(DirectoryStatus.PAUSED), NOW, {"s": User(3, 0, NOW)}))
    assert (paused.reason, paused.next_probe_in, paused.limit, paused.workers) == ("why", 9, 0, 1)
    assert paused.limit_reason == "it is paused"
    assert used(None).limit is None
