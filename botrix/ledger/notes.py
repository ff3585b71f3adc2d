"""Notes for the history of a job: what happened, to which account, in which attempt, and why.

An account that is created at the first attempt costs none: its row tells all.
"""

from __future__ import annotations

from typing import NamedTuple

from botrix.ledger.ledger import Found
from botrix.model import Result


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
