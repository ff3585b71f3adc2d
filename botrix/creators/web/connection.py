"""The connections to one host: what is asked of it, and what came of that as an Answer. Calls only
where the target lets it (`botrix.guard`), follows no redirect, reads no endless answer. Nothing is
raised. Nothing is said twice but by aiohttp: a GET, PUT or DELETE whose connection was lost before
an answer came, once.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver

from botrix import __version__
from botrix.addresses import Target
from botrix.creators.gate import LONGEST_PATIENCE, Answered
from botrix.creators.web.answer import Answer
from botrix.guard import PinnedResolver, connector
from botrix.retry import retry_after

LONGEST_ANSWER = 1 << 20
_MOST_CONNECTIONS = 256


class Connection:
    """Opened when first used. tls: how the host is verified, unless by what this system trusts.
    longest: bytes that an answer may have. look_up: who is asked for the host's addresses, if not
    the operating system."""

    def __init__(
        self,
        target: Target,
        tls: ssl.SSLContext | None = None,
        *,
        longest: int = LONGEST_ANSWER,
        look_up: AbstractResolver | None = None,
    ) -> None:
        self._target = target
        self._tls = tls
        self._longest = longest
        self._look_up = look_up
        self._session: aiohttp.ClientSession | None = None
        self._resolver: PinnedResolver | None = None

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> Answer:
        """timeout: seconds for all of it."""
        try:
            async with self._open().request(
                method, url, data=body, headers=headers, allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as said:  # fmt: skip
                return await self._read(said)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if self._resolver is not None:
                self._resolver.forget()
            return _failed(error)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _read(self, said: aiohttp.ClientResponse) -> Answer:
        asked = said.headers.get("Retry-After")
        after, how = retry_after(asked) if asked else None, _answered(said.status)
        if said.status == 503 and (after or 0) > LONGEST_PATIENCE:
            how = Answered.MAINTENANCE
        text = bytearray()
        async for chunk in said.content.iter_chunked(65536):
            text += chunk
            if len(text) > self._longest:
                problem = f"the answer is larger than {self._longest >> 20} MiB"
                return Answer(said.status, problem=problem, answered=Answered.FAILED)
        kept = {name.lower(): value for name, value in said.headers.items()}
        return Answer(said.status, bytes(text), after=after, headers=kept, answered=how)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._resolver = PinnedResolver(self._target, self._look_up)
            self._session = aiohttp.ClientSession(
                connector=connector(self._target, self._resolver, _MOST_CONNECTIONS, self._tls),
                trust_env=False,  # no proxy of the environment, nor passwords of a .netrc
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"botrix/{__version__}"},
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
