"""A job is followed by events where there are any, whatever becomes of the connection."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from botrix.cli.client import Api, Refused
from botrix.cli.events import Event, events
from botrix.cli.following import Lost, follow
from tests.cli.scripted import Scripted, job, moved, scripted

_DONE = job(status="completed", created=10)


@pytest.fixture
def api() -> Iterator[Scripted]:
    with scripted() as script:
        yield script


def _told(script: Scripted, most: int = 50) -> list[int | str]:
    """How many were created, or that the connection was lost."""
    found: list[int | str] = []
    for news in follow(Api(script.url), "j", sleep=lambda _: None):
        found.append("lost" if isinstance(news, Lost) else news["created"])
        assert len(found) < most
    return found


def test_events_are_told_one_by_one(api: Scripted) -> None:
    api.jobs = [job(), _DONE]
    pulse = 'event: pulse\ndata: {"at": 1}\n\n'
    opened = 'retry: 2000\n\n: alive\n\nevent: ready\nid: 1-0\ndata: {"at": "1-0"}\n\n'
    api.streams = [opened + moved(2) + pulse + moved(6) + moved(10, "completed")]
    assert _told(api) == [0, 2, 6, 10]
    assert api.asked == {"/api/jobs/j": 2, "/api/jobs/j/events": 1}
    assert "until=final" in api.queries[1]


def test_an_earlier_release_is_asked_again_and_again(api: Scripted) -> None:
    api.jobs = [job(), job(created=3), job(created=7), _DONE]
    assert _told(api) == [0, 3, 7, 10]
    assert api.asked["/api/jobs/j/events"] == 1


@pytest.mark.parametrize("last", ["", 'event: dropped\ndata: {"reason": "slow"}\n\n', "event: jo"])
def test_a_stream_that_ends_is_opened_again(api: Scripted, last: str) -> None:
    api.jobs = [job(), job(created=4), job(created=5), _DONE]
    api.streams = [moved(4) + last, moved(6) + moved(10, "completed")]
    assert _told(api) == [0, 4, 4, 5, 6, 10]


def test_an_api_that_cannot_answer_now_is_asked_later(api: Scripted) -> None:
    api.jobs = [job(), 503, 502, job(created=5), 429, _DONE]
    assert _told(api) == [0, "lost", "lost", 5, "lost", 10]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_who_may_not_look_is_told_so(api: Scripted, status: int) -> None:
    api.jobs = [job(), status]
    with pytest.raises(Refused, match=f"error {status}"):
        _told(api)


def test_who_may_see_no_events_is_told_so(api: Scripted) -> None:
    api.jobs, api.streams = [job()], [403]
    with pytest.raises(Refused, match="error 403"):
        _told(api)


def test_a_plan_is_asked_how_far_it_is(api: Scripted) -> None:
    """No event tells that."""
    plans = [job(stage="plan", plan={"create": n, "adopt": 0, "conflict": 0}) for n in (0, 5, 10)]
    api.jobs = [*plans[:2], {**plans[2], "waits": "plan"}]
    api.streams = [moved(0) * 2]
    news = list(follow(Api(api.url), "j", sleep=lambda _: None))
    assert [one["plan"]["create"] for one in news if not isinstance(one, Lost)] == [0, 5, 10]


def test_events_are_read_as_the_standard_says() -> None:
    lines = [b": a comment\n", b"data\n", b"data:one\r\n", b"data: two\n", b"id: 7\n", b"\n"]
    lines += [b"event: job\n", b"\n", b"event: job\n", b"data:  {}\n", b"\n", b"data: cut off\n"]
    assert list(events(lines)) == [Event("message", "\none\ntwo"), Event("job", " {}")]
