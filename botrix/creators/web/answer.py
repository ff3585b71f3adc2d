"""What came back from a directory behind HTTP, and what it means for an account. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botrix.creators.gate import Answered
from botrix.model import Outcome, OutcomeKind

CREDENTIALS = "the directory refuses the operator's credentials; put valid ones where it says"
_WORDS = ("detail", "errorMessage", "message", "error_description", "error")
_REFUSED = frozenset({400, 404, 405, 406, 410, 411, 413, 414, 415, 422, 431})


@dataclass(frozen=True, slots=True)
class Answer:
    """status 0: there was none, or only a part. sent: False where the request surely never
    reached the server. after: seconds that the server asks to wait. headers: by lower-case name.
    hidden: secrets that were sent, never to be shown should the server repeat them."""

    status: int
    body: bytes = b""
    sent: bool = True
    problem: str = ""
    after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = field(default=(), repr=False)
    answered: Answered = Answered.DONE

    def read(self) -> Any:
        """The body as JSON; None where it is none."""
        if self.problem:
            return None
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def resource(self) -> dict[str, Any]:
        """The body as an object; empty where it is none."""
        read = self.read()
        return read if isinstance(read, dict) else {}

    def patience(self) -> bool:
        """Whether it will be done later, and most likely was not done now: it costs no try."""
        return not self.sent or self.status in (401, 403, 429, 503)

    def shown(self, secret: str = "") -> str:
        """One line for people; `secret` is taken out should the server repeat it."""
        detail = self.problem or self._said(secret)
        shown = f"HTTP {self.status}" if self.status and self.sent else "no answer"
        return f"{shown}: {detail}" if detail else shown

    def _said(self, secret: str) -> str:
        said = self.resource()
        words = (said.get(name) for name in _WORDS)
        detail = str(next((word for word in words if word), ""))
        for one in (secret, *self.hidden):
            detail = detail.replace(one, "***") if one else detail
        return "".join(c if c.isprintable() else " " for c in detail[:300])


def not_done(answer: Answer, secret: str = "") -> Outcome:
    """Of a call that should have changed something, and whose answer does not say that it did."""
    shown = answer.shown(secret)
    if answer.status in (401, 403):
        return Outcome(OutcomeKind.RETRY, None, "credentials refused", CREDENTIALS, counted=False)
    if not answer.sent:
        return Outcome(
            OutcomeKind.RETRY, None, "directory away", shown, answer.after, counted=False
        )
    if answer.status == 409:
        return Outcome(OutcomeKind.CONFLICT, None, "name taken", shown)
    if answer.status == 429:
        return Outcome(OutcomeKind.RETRY, None, "too many requests", shown, answer.after, False)
    if answer.status in _REFUSED and not answer.problem:
        return Outcome(OutcomeKind.REJECTED, None, "rejected", shown)
    return Outcome(
        OutcomeKind.UNKNOWN, None, "no clear answer", shown, answer.after, not answer.patience()
    )


def changed(answer: Answer, entry_id: str, secret: str = "") -> Outcome:
    """Of a call that changes or deletes an entry. CREATED stands for done: it is as was asked."""
    if answer.status in (200, 204) and not answer.problem:
        return Outcome(OutcomeKind.CREATED, entry_id)
    if answer.status == 404:
        return Outcome(OutcomeKind.REJECTED, reason="no such entry", detail=answer.shown())
    return not_done(answer, secret)
