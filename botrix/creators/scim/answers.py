"""What an answer of a SCIM server means for an account. Pure: no connection is used in here."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from botrix.creators.web.answer import Answer, not_done
from botrix.model import Outcome, OutcomeKind


def rows(answer: Answer, *, counted: bool = True) -> list[dict[str, Any]] | None:
    """The resources of a list answer (RFC 7644, 3.4.2); None where it cannot be read as one.
    counted: it must say how many there are, for there may be more pages."""
    read = answer.resource()
    says_how_many = type(read.get("totalResults")) is int
    if answer.status != 200 or not (says_how_many or ("Resources" in read and not counted)):
        return None
    listed = read.get("Resources", [])
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        return None
    return listed


def total(answer: Answer) -> int:
    """How many there are in all pages."""
    return int(answer.resource().get("totalResults", 0))


def next_cursor(answer: Answer) -> str:
    """Of the page after this one; "" where there is none."""
    cursor = answer.resource().get("nextCursor")
    return cursor if isinstance(cursor, str) else ""


def created(answer: Answer, secret: str) -> Outcome:
    """Of a POST to /Users, or of an operation of a Bulk."""
    entry_id = _entry_id(answer)
    if answer.status in (200, 201) and entry_id and not answer.problem:
        return Outcome(OutcomeKind.CREATED, entry_id)
    return not_done(answer, secret)


def refuses_primary(answer: Answer) -> bool:
    """Whether it may be that word of an e-mail which the server does not take."""
    said = answer.shown().lower()
    return answer.status == 400 and ("primary" in said or "emails" in said)


def _entry_id(answer: Answer) -> str:
    """As the body says; where it can be read and has none, the end of the place where the entry is
    (RFC 7644, 3.3 and 3.7)."""
    said = answer.resource()
    entry_id = said.get("id")
    if isinstance(entry_id, str) and entry_id:
        return entry_id
    if answer.body and not said:
        return ""
    path = answer.headers.get("location", "").partition("?")[0]
    before, _, last = path.rpartition("/Users/")
    return unquote(last) if before and "/" not in last else ""
