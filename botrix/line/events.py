"""What the line tells of a job at each of its moves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

import msgspec

from botrix.model import JobState, Lane, NewJob
from botrix.states import FINAL_JOB, JobStatus, Stage

_TEXTS: dict[str, str] = {one: one.value for kind in (JobStatus, Lane, Stage) for one in kind}
"""By member, for what is told by the thousand: to ask it for its value takes four times as long."""
_COUNTS = ("created", "existing", "failed", "cancelled", "deleted")


class Event(msgspec.Struct):
    """waits: for a person, and why. at: seconds since 1970, for people."""

    job_id: str
    status: str
    count: int = 0
    created: int = 0
    existing: int = 0
    failed: int = 0
    cancelled: int = 0
    deleted: int = 0
    directory: str = ""
    priority: str = ""
    stage: str = Stage.CREATE
    waits: str | None = None
    at: float = 0.0

    @classmethod
    def of(cls, job: JobState, at: float | None = None) -> Self:
        """at: None for now."""
        return cls(
            job.id, _TEXTS[job.status], job.count, job.created, job.existing, job.failed,
            job.cancelled, job.deleted, job.directory, _TEXTS[job.lane], _TEXTS[job.stage],
            job.waits, now() if at is None else at,
        )  # fmt: skip

    @classmethod
    def of_new(cls, job: NewJob) -> Self:
        return cls(
            job.id, JobStatus.PENDING.value, job.count, directory=job.directory,
            priority=job.lane.value, stage=job.stage.value, at=now(),
        )  # fmt: skip

    @classmethod
    def of_row(cls, row: Mapping[str, Any], at: float | None = None) -> Self:
        """row: of jobs, as queries of the ledger answer it. at: None for now."""
        final = row["status"] in FINAL_JOB
        return cls(
            job_id=row["id"], status=row["status"], count=row["count"],
            **{name: row[name] for name in _COUNTS}, directory=row["directory"],
            priority=row["lane"], stage=row["stage"], waits=None if final else row["waits"],
            at=now() if at is None else round(at, 3),
        )  # fmt: skip

    @property
    def over(self) -> bool:
        """Whether nothing more comes of the job unless a person wants it."""
        return self.waits is not None or self.status in FINAL_JOB

    def text(self) -> str:
        return msgspec.json.encode(self).decode()


def now() -> float:
    """As events tell it."""
    return round(time.time(), 3)
