"""One request at a time to a SCIM server: never follows a redirect, reads no endless answer, calls
only where the settings let it (`botrix.guard`), waits where the server asks for patience. Every
failure becomes an Answer; nothing is raised or retried.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.abc import AbstractResolver

from botrix import __version__
from botrix.creators.scim.answers import Answer
from botrix.creators.scim.settings import ScimSettings
from botrix.guard import PinnedResolver, connector

_LONGEST_ANSWER = 1 << 20
_LONGEST_PATIENCE = 20.0
"""Seconds to wait with an account in hand; for longer, it is put off instead."""


class ScimHttp:
    """Opens its connections when first used; timeout: seconds for one request, all of it.
    look_up: who is asked for the host's addresses, if not the operating system."""

    def __init__(
        self, settings: ScimSettings, timeout: float, look_up: AbstractResolver | None = None
    ) -> None:
        self._settings = settings
        self._look_up = look_up
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None
        self._resolver: PinnedResolver | None = None
        self._not_before = 0.0

    @property
    def shown(self) -> str:
        return self._settings.url

    async def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer:
        """path: below the base url, quoted. status 0: no answer; see Answer.sent."""
        wait = self._not_before - time.monotonic()
        if wait > _LONGEST_PATIENCE:
            return Answer(0, sent=False, problem="the directory asks for patience", after=wait)
        if wait > 0:
            await asyncio.sleep(wait)
        try:
            answer = await self._answer(method, path, body)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if self._resolver is not None:
                self._resolver.forget()
            return _failed(error)
        if answer.after is not None:
            self._not_before = max(self._not_before, time.monotonic() + answer.after)
        return answer

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _answer(self, method: str, path: str, body: Mapping[str, object] | None) -> Answer:
        async with self._open().request(
            method, f"{self._settings.url}{path}", json=body, allow_redirects=False
        ) as said:
            text = bytearray()
            async for chunk in said.content.iter_chunked(65536):
                text += chunk
                if len(text) > _LONGEST_ANSWER:
                    return Answer(said.status, problem="the answer is larger than 1 MiB")
            return Answer(said.status, bytes(text), after=_retry_after(said.headers))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            target = self._settings.target
            self._resolver = PinnedResolver(target, self._look_up)
            self._session = aiohttp.ClientSession(
                connector=connector(target, self._resolver, self._settings.concurrency),
                trust_env=False,  # no proxy of the environment, nor passwords of a .netrc
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                headers={
                    "Authorization": f"Bearer {self._settings.token}",
                    "Accept": "application/scim+json, application/json",
                    "Content-Type": "application/scim+json",
                    "User-Agent": f"botrix/{__version__}",
                },
            )
        return self._session


def _failed(error: Exception) -> Answer:
    """Where there was no connection, nothing was sent."""
    match error:
        case aiohttp.ClientConnectorError():
            return Answer(0, sent=False, problem=f"no connection ({error.os_error.strerror})")
        case TimeoutError():
            return Answer(0, problem="no answer in time")
        case _:
            return Answer(0, problem=f"the answer was cut off ({type(error).__name__})")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number or a date (RFC 9110, 10.2.3); at most an hour."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(3600.0, float(text[:9]))
    try:
        return min(3600.0, max(0.0, parsedate_to_datetime(text).timestamp() - time.time()))
    except (ValueError, TypeError, OverflowError):
        return None
