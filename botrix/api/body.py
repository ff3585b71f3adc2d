"""What is refused before a request is read: no key, too large a body, a foreign Host or Origin."""

from __future__ import annotations

import hashlib
import hmac
import json
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from botrix.api.problems import Problem, problem

MIB = 1024 * 1024
IMPORT_PATH = "/api/accounts/import"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_OPEN = {"/live", "/ready", "/health"}
"""Probes ask without a key; the answers name no job, no account and no directory."""


class Door:
    """Pure ASGI, so that a streamed body stays a stream. key: what a request must bear; without
    one, only this machine may ask."""

    def __init__(self, app: ASGIApp, key: str = "") -> None:
        self._app = app
        self._digest = _digest(key) if key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self._refused(scope["path"], headers)
        if refused:
            await refused(scope, receive, send)
            return
        limit = 1024 * MIB if scope["path"] == IMPORT_PATH else MIB
        if int(headers.get("content-length", "0") or 0) > limit:
            await problem(413, "Too large", _too_large(limit))(scope, receive, send)
            return
        await self._app(scope, _counted(receive, limit), send)

    def _refused(self, path: str, headers: Headers) -> JSONResponse | None:
        if self._digest is None:
            foreign = _foreign(headers)
            return problem(403, "Not from here", foreign) if foreign else None
        if path in _OPEN or hmac.compare_digest(_digest(_bearer(headers)), self._digest):
            return None
        answer = problem(401, "No key", "send the API key as: Authorization: Bearer KEY")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer


def _bearer(headers: Headers) -> str:
    """The token of RFC 6750; empty where there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _foreign(headers: Headers) -> str | None:
    """Without keys only this machine may ask: a name that merely points here (DNS rebinding) or
    a page of another site may not."""
    if _host_of(f"//{headers.get('host', '')}") not in _LOOPBACK:
        return "the API answers on loopback only; ask for localhost or 127.0.0.1"
    origin = headers.get("origin")
    if origin is not None and _host_of(origin) not in _LOOPBACK:
        return "the API takes no requests from pages of other sites"
    return None


def _host_of(address: str) -> str | None:
    """None for what is no address."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _counted(receive: Receive, limit: int) -> Receive:
    got = 0

    async def counted() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > limit:
            raise Problem(413, "Too large", _too_large(limit))
        return message

    return counted


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit // MIB} MiB; send less, or a roster to {IMPORT_PATH}"


def strict_json(body: bytes) -> object:
    """JSON without NaN, doubled keys or deep nesting. Raises Problem."""
    try:
        return json.loads(body, object_pairs_hook=_pairs, parse_constant=_constant)
    except RecursionError:
        raise Problem(400, "Not JSON", "the body is nested too deeply") from None
    except ValueError as error:
        raise Problem(400, "Not JSON", f"the body is not usable JSON: {error}"[:300]) from None


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is given twice")
    return made


def _constant(text: str) -> object:
    raise ValueError(f"{text} is not a number")
