"""What `top` shows: asked of the API over one connection, each second.

Few and bounded lists, however many jobs run: events would be as many as there are jobs.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botrix.cli.client import Api
from botrix.cli.meter import Meter, parts

Row = dict[str, Any]
_JOBS = 50
_DIRECTORIES_EVERY = 3.0
_ENDED = ("created", "existing", "failed", "cancelled", "deleted")


class Snapshots:
    """Each next one knows the rates, by those before."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._all = Meter()
        self._jobs: dict[str, Meter] = defaultdict(Meter)
        self._beats: dict[str, _Beats] = {}
        self._directories: list[Row] = []
        self._asked = float("-inf")

    def next(self) -> Row:
        """Raises Unheard and Refused."""
        now = time.monotonic()
        stats = self._api.get("/api/jobs/stats")
        self._all.see(now, sum(stats["accounts"][name] for name in _ENDED))
        line = self._api.get("/api/line")
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "accounts_per_second": self._all.rate,
            "accounts": stats["accounts"],
            "lanes": {name: line.get(name) for name in ("high", "normal", "low")},
            "line_up": line["up"],
            "jobs": stats["jobs"],
            "open_jobs": self._open(stats["jobs"], now),
            "workers": self._workers(now),
            "directories": self._used(now),
        }

    def _open(self, states: Mapping[str, int], now: float) -> list[Row]:
        """The eldest first, so that what is new moves nothing; those that run before others."""
        found: list[Row] = []
        for status in ("running", "cancelling", "pending"):
            left = _JOBS - len(found)
            if left and states.get(status):
                rows = self._api.get("/api/jobs", status=status, limit=left)["items"]
                found += sorted(rows, key=lambda row: (row["created_at"], row["id"]))
        jobs = [_job(row) for row in found]
        self._jobs = defaultdict(Meter, {row["id"]: self._jobs[row["id"]] for row in jobs})
        for row in jobs:
            meter = self._jobs[row["id"]]
            meter.see(now, row["done"])
            row["accounts_per_second"], row["seconds_left"] = meter.rate, meter.left(row["count"])
        return jobs

    def _workers(self, now: float) -> list[Row]:
        rows = self._api.get("/api/workers")["items"]
        rows.sort(key=lambda row: str(row["worker_id"]))
        self._beats = {
            row["worker_id"]: self._beats.get(row["worker_id"]) or _Beats() for row in rows
        }
        for row in rows:
            beats = self._beats[row["worker_id"]]
            beats.see(row, now)
            row["recent_per_second"] = beats.rate
            row["heard_seconds_ago"] = beats.ago(now)
        found: list[Row] = rows
        return found

    def _used(self, now: float) -> list[Row]:
        if now - self._asked >= _DIRECTORIES_EVERY:
            self._directories = self._api.get("/api/directories")["items"]
            self._directories.sort(key=lambda row: str(row["name"]))
            self._asked = now
        return self._directories


class _Beats:
    """Of one worker: its counts move only with its heartbeat."""

    def __init__(self) -> None:
        self._last: str | None = None
        self._seen = 0.0
        self._before: tuple[float, int] | None = None
        self._now: tuple[float, int] | None = None

    def see(self, row: Row, now: float) -> None:
        """now: of this machine's own clock; the beat's time is of the worker's."""
        if row["last_heartbeat"] == self._last:
            return
        age = 0.0 if self._last else _age(row["last_heartbeat"])
        self._last, self._seen = row["last_heartbeat"], now - age
        done = int(row.get("accounts_created", 0)) + int(row.get("accounts_failed", 0))
        self._before, self._now = self._now, (float(row["uptime_seconds"]), done)

    @property
    def rate(self) -> float | None:
        """Between its last two heartbeats; None before it was started anew, or seen twice."""
        if self._now is None or self._before is None:
            return None
        (since, before), (at, done) = self._before, self._now
        return (done - before) / (at - since) if at > since else None

    def ago(self, now: float) -> float:
        return round(now - self._seen, 1)


def _age(heartbeat: str) -> float:
    """As its clock and ours have it."""
    return max((datetime.now(UTC) - datetime.fromisoformat(heartbeat)).total_seconds(), 0.0)


def _job(row: Row) -> Row:
    kept = ("id", "status", "priority", "directory", "stage", "waits", "held", "count")
    so_far = parts(row)
    return {**{name: row[name] for name in kept}, "parts": so_far, "done": sum(so_far.values())}
