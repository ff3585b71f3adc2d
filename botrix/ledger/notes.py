"""Notes for the history of a job: what happened, to which account, in which attempt, and why.

An account that is created at the first attempt costs none: its row tells all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from botrix.ledger.ledger import Found, Recorded
from botrix.model import Result
from botrix.states import AccountStatus, Happening


class Note(NamedTuple):
    """idx: None where it is the job's own."""

    job_id: str
    idx: int | None
    what: str
    attempt: int | None = None
    session: str | None = None
    reason: str | None = None
    detail: str | None = None


def of_result(result: Result, what: str, session: str) -> Note:
    """`what` came of an attempt of this session."""
    return Note(
        result.job_id, result.index, what, result.attempt, session, result.reason, result.detail
    )


def of_found(found: Found, session: str) -> Note:
    """An account that had landed, found by this session's reconciler."""
    detail = "a call that was given up had reached the directory"
    return Note(*found.key, found.happening, found.attempt, session, found.late.status, detail)


def of_removal(job_id: str, idx: int, session: str, reason: str | None, undo: str) -> Note:
    """An account that is gone from its directory, or disabled there, by the job `undo`."""
    return Note(job_id, idx, Happening.REMOVED, None, session, reason, f"by job {undo}")


def removed(results: Sequence[Result], recorded: Recorded) -> list[tuple[str, int]]:
    """The accounts among these results that were recorded as deleted."""
    stale = set(recorded.stale)
    keys = [(one.job_id, one.index) for one in results if one.status is AccountStatus.DELETED]
    return [key for key in keys if key not in stale]
