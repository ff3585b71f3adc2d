"""A way past FastAPI's own to one of its routes, for requests of which there are many: half of what
such a request costs is to find the route, and what it depends on. The route is declared as all are,
so that it is described, and its scope looked at, as theirs.
"""

from __future__ import annotations

from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from botrix.api.problems import KNOWN, answer_of
from botrix.api.query import only_known


class Straight:
    """Behind the entrance. route: one without parameters in its path, that depends on nothing but
    what is told by a request, and answers with a Response."""

    def __init__(self, app: ASGIApp, route: APIRoute) -> None:
        self._app = app
        self._route = route
        self._endpoint: Any = route.endpoint
        self._given: list[tuple[str, Any]] = [
            (one.name or "", one.call) for one in route.dependant.dependencies
        ]
        self._method, self._path = min(route.methods or ()), route.path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != self._path or scope.get("method") != self._method:
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        request = Request(scope, receive)
        try:
            await only_known(request)
            given = {name: await call(request) for name, call in self._given}
            answer = await self._endpoint(request=request, **given)
        except KNOWN as error:
            answer = await answer_of(request, error)
        await answer(scope, receive, send)
