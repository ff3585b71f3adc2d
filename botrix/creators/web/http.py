"""One request at a time to a directory behind HTTP: never follows a redirect, reads no endless
answer, calls only where the settings let it (`botrix.guard`), and only through the gate. Every
failure becomes an Answer; nothing is raised or retried.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver

from botrix import __version__
from botrix.creators.gate import LONGEST_PATIENCE, Answered, Gate
from botrix.creators.web.answer import Answer
from botrix.creators.web.settings import WebSettings
from botrix.guard import PinnedResolver, connector

_LONGEST_ANSWER = 1 << 20
_MOST_CONNECTIONS = 256
_JSON = "application/json"


class Http:
    """Opens its connections when first used; timeout: seconds for one request, all of it.
    media: the type of the bodies sent. longest: bytes that an answer may have. look_up: who is
    asked for the host's addresses, if not the operating system."""

    def __init__(
        self,
        settings: WebSettings,
        timeout: float,
        gate: Gate,
        media: str = _JSON,
        longest: int = _LONGEST_ANSWER,
        look_up: AbstractResolver | None = None,
    ) -> None:
        self._settings = settings
        self._gate = gate
        self._media = media
        self._longest = longest
        self._look_up = look_up
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None
        self._resolver: PinnedResolver | None = None

    @property
    def shown(self) -> str:
        return self._settings.url

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        operations: int = 1,
    ) -> Answer:
        """path: below the base url, quoted. body: sent as JSON. operations: how many accounts it
        concerns. status 0: no answer; see Answer.sent."""
        async with self._gate.call(operations, timed=method != "GET") as call:
            if call.shut:
                return Answer(0, sent=False, problem=call.shut, after=call.after)
            try:
                answer = await self._answer(method, path, body, headers or {})
            except (aiohttp.ClientError, OSError, ValueError) as error:
                if self._resolver is not None:
                    self._resolver.forget()
                answer = _failed(error)
            call.ended(answer.answered, answer.after, answer.shown())
        return answer

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _answer(
        self, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> Answer:
        async with self._open().request(
            method, f"{self._settings.url}{path}", json=body, allow_redirects=False,
            headers={"Authorization": self._settings.authorization, **headers},
        ) as said:  # fmt: skip
            after, how = _retry_after(said.headers), _answered(said.status)
            if said.status == 503 and (after or 0) > LONGEST_PATIENCE:
                how = Answered.MAINTENANCE
            text = bytearray()
            async for chunk in said.content.iter_chunked(65536):
                text += chunk
                if len(text) > self._longest:
                    size = self._longest >> 20
                    problem = f"the answer is larger than {size} MiB"
                    return Answer(said.status, problem=problem, answered=Answered.FAILED)
            kept = {name.lower(): value for name, value in said.headers.items()}
            return Answer(said.status, bytes(text), after=after, headers=kept, answered=how)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            target = self._settings.target
            self._resolver = PinnedResolver(target, self._look_up)
            self._session = aiohttp.ClientSession(
                connector=connector(target, self._resolver, _MOST_CONNECTIONS),
                trust_env=False,  # no proxy of the environment, nor passwords of a .netrc
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                headers={
                    "Accept": _JSON if self._media == _JSON else f"{self._media}, {_JSON}",
                    "Content-Type": self._media,
                    "User-Agent": f"botrix/{__version__}",
                },
            )
        return self._session


def _answered(status: int) -> Answered:
    match status:
        case 401 | 403:
            return Answered.CREDENTIALS
        case 429:
            return Answered.BUSY
        case 503:
            return Answered.UNAVAILABLE
        case _:
            return Answered.FAILED if status >= 500 else Answered.DONE


def _failed(error: Exception) -> Answer:
    """Where there was no connection, nothing was sent."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return Answer(0, sent=False, problem=_tls(error), answered=Answered.TLS)
        case aiohttp.ClientConnectorError():
            problem = f"no connection ({error.os_error.strerror})"
            return Answer(0, sent=False, problem=problem, answered=Answered.AWAY)
        case TimeoutError():
            return Answer(0, problem="no answer in time", answered=Answered.FAILED)
        case _:
            problem = f"the answer was cut off ({type(error).__name__})"
            return Answer(0, problem=problem, answered=Answered.FAILED)


def _tls(error: Any) -> str:
    """What about its certificate or protocol, in the words of the library."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
    said = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else str(cause)
    return f"no secure connection ({said})"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number or a date (RFC 9110, 10.2.3); at most an hour."""
    return retry_after(headers.get("Retry-After", ""))


def retry_after(text: str) -> float | None:
    """See above; also for one inside a body."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(3600.0, float(text[:9]))
    try:
        return min(3600.0, max(0.0, parsedate_to_datetime(text).timestamp() - time.time()))
    except (ValueError, TypeError, OverflowError):
        return None
