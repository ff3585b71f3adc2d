"""Tokens of OAuth 2.0, for a client's own credentials or for a user's (RFC 6749, 4.4 and 4.3).

A token is fetched when it is first needed, once for all that wait for it, and again shortly before
it runs out or after the directory has refused it. What goes wrong at the token endpoint is told as
an answer of the directory, to which nothing was sent.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote_plus, urlencode

from aiohttp.abc import AbstractResolver

from botrix.addresses import Target
from botrix.creators.gate import Answered
from botrix.creators.web.answer import Answer
from botrix.creators.web.authorization import basic, secrets_of
from botrix.creators.web.connection import Connection

_MARGIN = 30.0
_REFUSED = (400, 401, 403)


@dataclass(frozen=True, slots=True)
class Grant:
    """What to ask for, and where. With a username, it is that user's password that is granted a
    token; without a client_secret, the client is a public one. in_body: the client's credentials
    go into the body, for a server that knows no other way (RFC 6749, 2.3.1)."""

    url: str
    target: Target
    client_id: str
    client_secret: str = field(default="", repr=False)
    scope: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    in_body: bool = False


class Tokens:
    """An Authorization. tls: how the token endpoint is verified; look_up: see Connection."""

    def __init__(
        self,
        grant: Grant,
        tls: ssl.SSLContext | None = None,
        look_up: AbstractResolver | None = None,
    ) -> None:
        self._grant = grant
        self._connection = Connection(grant.target, tls, look_up=look_up)
        self._header = ""
        self._until = 0.0
        self._fetching: asyncio.Task[str | Answer] | None = None

    async def header(self, timeout: float) -> str | Answer:
        if self._header and time.monotonic() < self._until:
            return self._header
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch(timeout))
            self._fetching.add_done_callback(self._fetched)
        # Shielded: whoever began it may be cancelled while others wait.
        return await asyncio.shield(self._fetching)

    def renews(self, header: str) -> bool:
        if self._header == header:
            self._header = ""
        return True

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])
        await self._connection.close()

    def _fetched(self, _: asyncio.Task[str | Answer]) -> None:
        self._fetching = None

    async def _fetch(self, timeout: float) -> str | Answer:
        began = time.monotonic()
        headers, form = _request(self._grant)
        said = await self._connection.ask(
            "POST", self._grant.url, headers, urlencode(form).encode(), timeout
        )
        read = said.resource() if said.status == 200 else {}
        token = _token(read)
        if token is None:
            return _refused(said, self._grant)
        self._header, self._until = f"Bearer {token}", began + _lasts(read.get("expires_in"))
        return self._header


def _request(grant: Grant) -> tuple[dict[str, str], dict[str, str]]:
    """Headers and form of a request for a token."""
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    form = {"grant_type": "client_credentials"}
    if grant.username:
        user = {"username": grant.username, "password": grant.password}
        form = {"grant_type": "password", **user}
    if grant.scope:
        form["scope"] = grant.scope
    if not grant.client_secret or grant.in_body:
        form["client_id"] = grant.client_id
        if grant.client_secret:
            form["client_secret"] = grant.client_secret
    else:
        named = quote_plus(grant.client_id), quote_plus(grant.client_secret)
        headers["Authorization"] = basic(*named)
    return headers, form


def _token(read: dict[str, Any]) -> str | None:
    """That of the answer, if it is one that can be sent (RFC 6749, 5.1)."""
    token, kind = read.get("access_token"), read.get("token_type")
    if not isinstance(token, str) or not isinstance(kind, str) or kind.lower() != "bearer":
        return None
    usable = token.isascii() and token.isprintable() and " " not in token
    return token if token and usable else None


def _lasts(seconds: Any) -> float:
    """For how long a token is used that is good for so many seconds; one of which nothing is said,
    until it is refused."""
    if type(seconds) not in (int, float):
        return float("inf")
    return float(seconds) - min(_MARGIN, float(seconds) / 4)


def _refused(said: Answer, grant: Grant) -> Answer:
    """As an answer of the directory, which was not asked."""
    problem, how = replace(said, hidden=_secrets(grant)).shown(), said.answered
    if said.status == 200:
        problem = "it gives no usable token"
    if said.status in _REFUSED:
        how = Answered.CREDENTIALS
    elif how is Answered.DONE:
        how = Answered.FAILED
    return Answer(
        401 if how is Answered.CREDENTIALS else 0, sent=False, after=said.after, answered=how,
        problem=f"the token endpoint of {grant.target.host}: {problem}",
    )  # fmt: skip


def _secrets(grant: Grant) -> tuple[str, ...]:
    """As they are, and as they are sent."""
    header = _request(grant)[0].get("Authorization")
    plain = grant.client_secret, grant.password
    return (*plain, *map(quote_plus, plain), *(secrets_of(header) if header else ()))
