"""Every error as problem+json (RFC 9457): one clear line, and nothing of the inside."""

from __future__ import annotations

import json
import logging
import math
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from botrix.errors import (
    AddressRefused,
    BotrixError,
    Conflict,
    DirectoryError,
    Gone,
    InvalidInput,
    LedgerDown,
    LineDown,
    NotFound,
    OutcomeUnknown,
)

_log = logging.getLogger(__name__)
_STATUS: list[tuple[type[BotrixError], int, str]] = [
    (NotFound, 404, "Not found"),
    (Conflict, 409, "Not in this state"),
    (Gone, 410, "Not there any more"),
    (InvalidInput, 422, "Cannot be used"),
    (AddressRefused, 422, "Address cannot be used"),
    (DirectoryError, 422, "Directory cannot be used"),
    (LedgerDown, 503, "Ledger does not answer"),
    (LineDown, 503, "Line does not answer"),
    (BotrixError, 500, "Failed"),
]
_INSIDE = "something went wrong here; the log of the API says what"
LINE_DOWN = "the line does not answer, or refuses writes; jobs are accepted all the same"


class Problem(Exception):
    """An error of the door itself, with its HTTP status. retry_after: seconds, told as a header."""

    def __init__(
        self, status: int, title: str, detail: str, retry_after: float | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail
        self.retry_after = retry_after


def problem(status: int, title: str, detail: str, **more: Any) -> JSONResponse:
    """The answer itself; `instance` lets a person and a log line find each other."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    body |= {"instance": f"urn:uuid:{uuid.uuid4()}", **more}
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def add_handlers(app: FastAPI) -> None:
    """Nothing that goes wrong leaves the app in another form."""
    for kind, answer in _ANSWERS.items():
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(Exception, _unknown)


async def answer_of(request: Request, error: Exception) -> JSONResponse:
    """To one of KNOWN, as the app answers it."""
    return await next(made for kind, made in _ANSWERS.items() if isinstance(error, kind))(
        request, error
    )


def answer_to(error: Problem | BotrixError) -> JSONResponse:
    """Of an error that has a name."""
    if isinstance(error, Problem):
        answer = problem(error.status, error.title, error.detail)
        if error.retry_after is not None:
            answer.headers["Retry-After"] = str(math.ceil(error.retry_after))
        return answer
    status, title = next((s, t) for kind, s, t in _STATUS if isinstance(error, kind))
    answer = problem(status, title, str(error) if status < 500 else _outside(error))
    if status >= 500:
        _log.warning("answered %d: %s", status, error, extra=_named(answer))
    return answer


def _outside(error: BotrixError) -> str:
    """Of a store that does not answer: its errors name hosts, files and what a driver said."""
    match error:
        case LineDown():
            return LINE_DOWN
        case OutcomeUnknown():
            return "it may have happened or not; send it again with the same Idempotency-Key"
        case LedgerDown() if str(error).endswith("run: botrix migrate"):
            return "the ledger is not ready for this version; run: botrix migrate"
        case LedgerDown():
            return "the ledger does not answer; try again in a moment"
    return _INSIDE


def _named(answer: JSONResponse) -> dict[str, str]:
    """For a log line: the id that the answer bears."""
    return {"instance": str(json.loads(bytes(answer.body))["instance"])}


async def _known(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem | BotrixError)
    return answer_to(error)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"field": ".".join(str(part) for part in e["loc"][1:]) or e["loc"][0], "message": e["msg"]}
        for e in error.errors()[:20]
    ]
    detail = "; ".join(f"{e['field']}: {e['message']}" for e in errors)[:1000]
    return problem(422, "Cannot be used", detail, errors=errors)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    answer = problem(error.status_code, str(error.detail), str(error.detail))
    answer.headers.update(error.headers or {})  # a 405 tells what is allowed
    return answer


async def _gone(_: Request, __: Exception) -> JSONResponse:
    """Who hung up in the middle of a body hears nothing any more, and is no error of ours."""
    return problem(400, "Cut off", "the body ended too early; send it again")


_ANSWERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[JSONResponse]]] = {
    Problem: _known,
    BotrixError: _known,
    RequestValidationError: _invalid,
    HTTPException: _http,
    ClientDisconnect: _gone,
}
KNOWN = tuple(_ANSWERS)
"""What is answered by what it says, and is no mistake of Botrix."""


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    answer = problem(500, "Failed", _INSIDE)
    answer.headers["Cache-Control"] = "no-store"  # this one does not pass the entrance
    more = {"path": request.url.path, **_named(answer)}
    _log.error("a request failed: a mistake of Botrix", exc_info=error, extra=more)
    return answer
