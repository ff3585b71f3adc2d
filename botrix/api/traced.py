"""Which trace a request belongs to: its caller's, where the header `traceparent` names one. Behind
the entrance, so that who is not let in begins none.
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from botrix import traces
from botrix.traceparent import current, read

_JOB = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class Traced:
    """Pure ASGI. Requests that stay open for events are left out, as are pages and probes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_work(scope["path"]):
            await self._app(scope, receive, send)
            return
        caller = _caller(scope)
        if traces.active():
            await self._in_span(caller, scope, receive, send)
            return
        before = current.set(caller)  # a worker may be one that traces
        try:
            await self._app(scope, receive, send)
        finally:
            current.reset(before)

    async def _in_span(
        self, caller: str | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        method = scope["method"]
        asked: dict[str, str | int] = {"http.request.method": method}
        with traces.span(method, caller, kind="server", root=True, attributes=asked) as span:

            async def answered(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    span.note({"http.response.status_code": status})
                    if status >= 500:
                        span.went_wrong(str(status))
                await send(message)

            try:
                await self._app(scope, receive, answered)
            finally:
                if (route := getattr(scope.get("route"), "path", None)) is not None:
                    span.named(f"{method} {route}")
                    span.note({"http.route": route, **_job(scope)})


def _is_work(path: str) -> bool:
    return path.startswith("/api/") and not path.endswith("/events")


def _caller(scope: Scope) -> str | None:
    """None where there is more than one, for which is meant is not known."""
    said = [value for name, value in scope["headers"] if name == b"traceparent"]
    return read(said[0].decode("latin-1")) if len(said) == 1 else None


def _job(scope: Scope) -> dict[str, str]:
    """Which one its path names. No other part of a path is told: it may name a person."""
    job = scope.get("path_params", {}).get("job_id", "")
    return {"botrix.job.id": job} if _JOB.match(job) else {}
