"""Sends one message to a receiver. It is called only where its webhook lets it (`botrix.guard`), no
redirect is followed, and what it answers besides a status is read for politeness, and forgotten:
who adds a webhook must not learn through it what others answer.

A connection is made for each message. One that is kept may be closed by the receiver just as it is
used again, and a message that is then sent twice, or not at all, costs more than a handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from botrix import __version__
from botrix.addresses import Target
from botrix.errors import AddressRefused
from botrix.guard import PinnedResolver, connector
from botrix.retry import retry_after
from botrix.webhooks.adding import target_of
from botrix.webhooks.said import TIMEOUT, Said
from botrix.webhooks.schedule import MOST_PATIENCE

_READ = 4096
_THREADS = 16
_NOT_FROM_HERE = (
    "its host leads to an address that must not be called from here; see docs/webhooks.md"
)


class Sender:
    """timeout: seconds for all of a message. look_up: who is asked for addresses, if not the
    operating system."""

    def __init__(self, timeout: float = TIMEOUT, look_up: AbstractResolver | None = None) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="webhooks")
        self._look_up = look_up or _LookUp(self._threads)

    async def send(self, url: str, config: str, headers: Mapping[str, str], body: bytes) -> Said:
        """config: JSON. Raises nothing."""
        try:
            target = target_of(url, json.loads(config))
            async with self._session(target) as session:
                return await self._post(session, url, headers, body)
        except AddressRefused as refused:
            return Said(0, str(refused))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Said(0, _problem(error))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _session(self, target: Target) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector(target, PinnedResolver(target, self._look_up), 1),
            trust_env=False,  # no proxy of the environment, nor passwords of a .netrc
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def _post(
        self, session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], body: bytes
    ) -> Said:
        sent = {"Content-Type": "application/json", "User-Agent": f"botrix/{__version__}"}
        sent |= {"Connection": "close", **headers}
        async with session.post(
            url, data=body, headers=sent, allow_redirects=False, timeout=self._timeout
        ) as answer:
            asked = answer.headers.get("Retry-After")
            after = retry_after(asked, MOST_PATIENCE) if asked else None
            with contextlib.suppress(aiohttp.ClientError, OSError, ValueError):
                await answer.content.read(_READ)  # the status was said, whatever comes of this
            said = Said(answer.status, after=after)
        return said if said.taken else Said(said.status, _of_status(said.status), after)


class _LookUp(AbstractResolver):
    """The operating system, asked in threads of its own: a name whose servers do not answer keeps
    one busy for long, and must not hold up the look-ups of directories."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, _addresses, host, port, family
        )
        return [_result(host, port, *one) for one in found]

    async def close(self) -> None:
        """The threads are the sender's."""


def _addresses(host: str, port: int, family: int) -> list[tuple[int, int, Any]]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    return [(kind, proto, address) for kind, _, proto, _, address in found]


def _result(host: str, port: int, family: int, proto: int, address: Any) -> ResolveResult:
    scope = f"%{address[3]}" if len(address) > 3 and address[3] else ""
    return ResolveResult(
        hostname=host, host=f"{address[0]}{scope}", port=port, family=family, proto=proto,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )  # fmt: skip


def _of_status(status: int) -> str:
    if 300 <= status < 400:
        return f"HTTP {status}: redirects are not followed; add the url that it leads to"
    return f"HTTP {status}"


def _problem(error: Exception) -> str:
    """One line. Nothing of what a name leads to: who adds a webhook could look names up by it."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "no secure connection: its certificate or protocol cannot be used"
        case aiohttp.ClientConnectorDNSError() if _refused(error):
            return _NOT_FROM_HERE
        case aiohttp.ClientConnectorDNSError():
            return "its host has no address"
        case aiohttp.ClientConnectorError() if _refused(error):
            return _NOT_FROM_HERE
        case aiohttp.ClientConnectorError():
            return f"no connection ({os.strerror(error.os_error.errno or errno.ECONNREFUSED)})"
        case _:
            return f"the answer cannot be read ({type(error).__name__})"


def _refused(error: aiohttp.ClientConnectorError) -> bool:
    return isinstance(error.os_error, PermissionError) or error.os_error.errno == errno.EACCES
