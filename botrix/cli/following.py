"""A job as it goes on, whatever becomes of the connection.

Told by the API's events; asked for now and then where it is of a release that has none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from botrix.cli.client import Api, Refused, Unheard
from botrix.cli.events import events
from botrix.plain import plain

Job = dict[str, Any]
_FINAL = ("completed", "failed", "cancelled")
_EVERY = 0.2
"""Seconds between two looks, or two events."""
_QUIET = 5.0
"""After so many seconds without one it is asked: no event tells that its directory is paused."""
_SILENT = 20.0
"""Events, pulses or a sign of life come more often than that."""
_PAUSES = (0.5, 1.0, 2.0, 3.0)
_PASSING = (429, 500, 502, 503, 504)


class Lost(Exception):
    """No connection; it is tried again."""


def is_over(job: Job) -> bool:
    """It is final, or waits for a person."""
    return job["status"] in _FINAL or bool(job.get("waits"))


def follow(
    api: Api, job_id: str, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Job | Lost]:
    """Ends with the job that is over. Raises Refused where it cannot be followed."""
    one = _Followed(api, job_id, sleep)
    failures = 0
    while True:
        try:
            for job in one.states():
                failures = 0
                yield job
                if is_over(job):
                    return
        except (Unheard, Refused) as error:
            if isinstance(error, Refused) and error.status not in _PASSING:
                raise
            yield Lost(plain(error.message))
        sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
        failures += 1


class _Followed:
    def __init__(self, api: Api, job_id: str, sleep: Callable[[float], None]) -> None:
        self._asking, self._listening = api.again(10.0), api.again(_SILENT)
        self._path = f"/api/jobs/{job_id}"
        self._sleep = sleep
        self._has_events = True

    def states(self) -> Iterator[Job]:
        """Until the connection ends, or is not needed any more."""
        job = self._asked()
        yield job
        if self._has_events:
            try:
                yield from self._told(job)
                return
            except Refused as error:
                if error.status != 404:
                    raise
                self._has_events = False
        while True:
            self._sleep(_EVERY)
            yield self._asked()

    def _told(self, job: Job) -> Iterator[Job]:
        with self._listening.lines(f"{self._path}/events?every={_EVERY}&until=final") as lines:
            asked = time.monotonic()
            for event in events(lines):
                if event.kind == "job":
                    job = _moved(job, json.loads(event.data))
                    looks = job.get("stage") in ("plan", "check")  # no event tells how far that is
                    if not (looks or is_over(job)):
                        yield job
                        continue
                elif time.monotonic() - asked < _QUIET:
                    continue
                job, asked = self._asked(), time.monotonic()
                yield job
        yield self._asked()

    def _asked(self) -> Job:
        job: Job = self._asking.get(self._path)
        return job


def _moved(job: Job, event: Job) -> Job:
    return {**job, **{name: value for name, value in event.items() if name in job}}
