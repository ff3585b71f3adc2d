"""What an answer of a SCIM server means for an account. Pure: no connection is used in here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from botrix.model import Outcome, OutcomeKind

CREDENTIALS = "the directory refuses the operator's token; put a valid one where the setting says"
_REFUSED = frozenset({400, 404, 405, 406, 410, 411, 413, 414, 415, 422, 431})


@dataclass(frozen=True, slots=True)
class Answer:
    """status 0: there was none, or only a part. sent: False where the request surely never
    reached the server. after: seconds that the server asks to wait."""

    status: int
    body: bytes = b""
    sent: bool = True
    problem: str = ""
    after: float | None = None

    def resource(self) -> dict[str, Any]:
        """The body as an object; empty where it is none."""
        if self.problem:
            return {}
        try:
            read = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return read if isinstance(read, dict) else {}

    def rows(self) -> list[dict[str, Any]] | None:
        """The users of a list answer (RFC 7644, 3.4.2); None where it cannot be read as one."""
        read = self.resource()
        if self.status != 200 or type(read.get("totalResults")) is not int:
            return None
        rows = read.get("Resources", [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            return None
        return rows

    def total(self) -> int:
        return int(self.resource().get("totalResults", 0))

    def patience(self) -> bool:
        """Whether nothing was done, and later it will be: such an answer costs no try."""
        return not self.sent or self.status == 429

    def shown(self, secret: str = "") -> str:
        """One line for people; `secret` is taken out should the server repeat it."""
        detail = self.problem or str(self.resource().get("detail") or "")
        if secret:
            detail = detail.replace(secret, "***")
        detail = "".join(c if c.isprintable() else " " for c in detail[:300])
        said = f"HTTP {self.status}" if self.status else "no answer"
        return f"{said}: {detail}" if detail else said


def created(answer: Answer, secret: str) -> Outcome:
    """Of a POST to /Users."""
    entry_id = answer.resource().get("id")
    if answer.status in (200, 201) and isinstance(entry_id, str) and entry_id:
        return Outcome(OutcomeKind.CREATED, entry_id)
    return _not_done(answer, secret)


def changed(answer: Answer, entry_id: str, secret: str = "") -> Outcome:
    """Of a PATCH or DELETE. CREATED stands for done: the entry is as was asked."""
    if answer.status in (200, 204) and not answer.problem:
        return Outcome(OutcomeKind.CREATED, entry_id)
    if answer.status == 404:
        return Outcome(OutcomeKind.REJECTED, reason="no such entry", detail=answer.shown())
    return _not_done(answer, secret)


def _not_done(answer: Answer, secret: str) -> Outcome:
    shown = answer.shown(secret)
    if not answer.sent:
        return Outcome(
            OutcomeKind.RETRY, None, "directory away", shown, answer.after, counted=False
        )
    if answer.status == 409:
        return Outcome(OutcomeKind.CONFLICT, None, "name taken", shown)
    if answer.status == 429:
        return Outcome(OutcomeKind.RETRY, None, "too many requests", shown, answer.after, False)
    if answer.status in (401, 403):
        return Outcome(OutcomeKind.RETRY, None, "credentials refused", CREDENTIALS)
    if answer.status in _REFUSED and not answer.problem:
        return Outcome(OutcomeKind.REJECTED, None, "rejected", shown)
    return Outcome(OutcomeKind.UNKNOWN, None, "no clear answer", shown, answer.after)
