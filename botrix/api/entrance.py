"""Before any route: who asks, and whether the request may come in at all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from starlette.requests import cookie_parser
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from botrix.api.body import counted, limit_of, too_large
from botrix.api.problems import Problem, answer_to
from botrix.api.rate import Rate
from botrix.api.trust import Trust, of_same_site
from botrix.api.who import Doorkeeper, Who, local
from botrix.errors import BotrixError

COOKIE = "botrix_sign_in"
SIGN_IN_PATH = "/api/sign-in"
OPEN = frozenset({"/live", "/ready", "/health", SIGN_IN_PATH})
"""Probes ask without a key; the answers name no job, no account and no directory. Who signs in
brings the key in the body."""
_PAGE, _FILES = "/", "/static/"
"""The dashboard's own files, which hold no data."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Entrance:
    """Pure ASGI, so that a streamed body stays a stream. What comes in bears `who` in its state,
    and `again`, for answers that take long: who it is by then."""

    def __init__(self, app: ASGIApp, trust: Trust) -> None:
        self._app = app
        self._trust = trust

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, path, send = _headers(scope), scope["path"], _careful(send)
        limit = limit_of(path)
        try:
            if int(headers.get("content-length", "0") or 0) > limit:
                raise Problem(413, "Too large", too_large(limit))
            who = await self._who(scope, headers)
            if who is not None and who.requests_per_minute is not None:
                await _require_patience(scope["app"].state.here.rate, who)
            state = scope.setdefault("state", {})
            state["who"], state["again"] = who, partial(self._who, scope, headers)
        except (Problem, BotrixError) as error:
            await _challenged(answer_to(error))(scope, receive, send)
            return
        await self._app(scope, counted(receive, limit), send)

    async def _who(self, scope: Scope, headers: Mapping[str, str]) -> Who | None:
        """Raises Problem where nobody is recognized; None is for what is open to everybody."""
        if is_open(scope["path"]):
            if "origin" in headers and not of_same_site(headers):
                raise _foreign()
            return None
        keeper: Doorkeeper = scope["app"].state.here.keeper
        peer = _peer(scope)
        bearer, cookie = _bearer(headers), _cookie(headers)
        if bearer is not None:
            return _known(await keeper.by_key(bearer, peer))
        if cookie is not None:
            who = await keeper.by_cookie(cookie, peer)
            if who is not None:  # a browser sends a cookie along by itself
                if scope["method"] not in _SAFE and not of_same_site(headers):
                    raise _foreign()
                return who
        if not await keeper.keyless():
            return _known(None)
        foreign = self._trust.problem(peer, headers)
        if foreign:
            raise Problem(403, "Not from here", foreign)
        return local(peer)


def is_open(path: str) -> bool:
    """Whether nobody needs to say who he is."""
    return path in OPEN or path == _PAGE or path.startswith(_FILES)


async def _require_patience(rate: Rate, who: Who) -> None:
    wait = await rate.allowed(who.tenant, who.requests_per_minute)
    if wait is not None:
        detail = f"tenant {who.tenant} may ask {who.requests_per_minute} times a minute; wait"
        raise Problem(429, "Too many requests", f"{detail} {wait:.0f} s", wait)


def _foreign() -> Problem:
    return Problem(403, "Not from here", "a page of another site sent this")


def _known(who: Who | None) -> Who:
    if who is None:
        detail = "send an API key as: Authorization: Bearer KEY; make one with: botrix key create"
        raise Problem(401, "No key", detail)
    return who


def _headers(scope: Scope) -> dict[str, str]:
    """By their names, in small letters; of two alike the first."""
    said = reversed(scope["headers"])
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in said}


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _bearer(headers: Mapping[str, str]) -> str | None:
    """The token of RFC 6750; None without that header."""
    said = headers.get("authorization")
    if said is None:
        return None
    scheme, _, token = said.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _cookie(headers: Mapping[str, str]) -> str | None:
    return cookie_parser(headers["cookie"]).get(COOKIE) if "cookie" in headers else None


def _challenged(answer: JSONResponse) -> JSONResponse:
    if answer.status_code == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _careful(send: Send) -> Send:
    """No answer is kept by anybody on its way, nor taken for what it is not."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", []), (b"x-content-type-options", b"nosniff")]
            if b"cache-control" not in dict(headers):
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": headers}
        await send(message)

    return sent
