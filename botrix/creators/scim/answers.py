"""What an answer of a SCIM server means for an account. Pure: no connection is used in here."""

from __future__ import annotations

from typing import Any

from botrix.creators.web.answer import Answer, not_done
from botrix.model import Outcome, OutcomeKind


def rows(answer: Answer) -> list[dict[str, Any]] | None:
    """The users of a list answer (RFC 7644, 3.4.2); None where it cannot be read as one."""
    read = answer.resource()
    if answer.status != 200 or type(read.get("totalResults")) is not int:
        return None
    listed = read.get("Resources", [])
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        return None
    return listed


def total(answer: Answer) -> int:
    """How many there are in all pages."""
    return int(answer.resource().get("totalResults", 0))


def created(answer: Answer, secret: str) -> Outcome:
    """Of a POST to /Users."""
    entry_id = answer.resource().get("id")
    if answer.status in (200, 201) and isinstance(entry_id, str) and entry_id:
        return Outcome(OutcomeKind.CREATED, entry_id)
    return not_done(answer, secret)
