"""Answers `GET /metrics` of a worker: the little of HTTP/1.1 that whoever scrapes needs.

It shares the worker's loop, so it is bounded in all: few connections, one request each, of a few
kilobytes and seconds. Where its port is taken the worker goes on without, and tries again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

_log = logging.getLogger(__name__)
Text = Callable[[str], tuple[bytes, str]]
"""Of the Accept header: what is told, and its type."""
_MOST = 8
_LONGEST = 8192
_WITHIN = 5.0
_AGAIN = 10.0


class Responder:
    """within: seconds for a request and its answer; again: until a port that was taken is tried
    once more. open: connections."""

    def __init__(
        self, host: str, port: int, text: Text, within: float = _WITHIN, again: float = _AGAIN
    ) -> None:
        self._host = host
        self._port = port
        self.text = text
        self._within = within
        self._again = again
        self.open = 0

    async def serve(self) -> None:
        """Until cancelled."""
        server = await self._listening()
        try:
            await server.serve_forever()
        finally:
            server.close()

    async def _listening(self) -> asyncio.Server:
        told = False
        while True:
            try:
                return await asyncio.start_server(
                    self._answer, self._host, self._port, limit=_LONGEST, backlog=_MOST
                )
            except OSError as error:
                if not told:
                    _log.error(
                        "no metrics: %s, port %d: %s; free it, or choose another "
                        "BOTRIX_METRICS_PORT", self._host, self._port, error.strerror or error,
                    )  # fmt: skip
                told = True
                await asyncio.sleep(self._again)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            if self.open <= _MOST:
                async with asyncio.timeout(self._within):
                    writer.write(await self._said(reader))
                    writer.close()
                    await writer.wait_closed()  # who does not read is not waited for either
        except (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError):
            pass  # it is too slow, too long, or gone
        finally:
            self.open -= 1
            writer.transport.abort()

    async def _said(self, reader: asyncio.StreamReader) -> bytes:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.rstrip("\r\n").split("\r\n")
        method, _, rest = line.partition(" ")
        path, _, version = rest.partition(" ")
        if not version.startswith("HTTP/1."):
            return _answered("400 Bad Request", b"this is no request of HTTP/1.1\n")
        if path.partition("?")[0] != "/metrics":
            return _answered("404 Not Found", b"there is only /metrics\n")
        if method not in ("GET", "HEAD"):
            return _answered("405 Method Not Allowed", b"ask by GET\n", ("Allow: GET, HEAD",))
        try:
            body, kind = self.text(_accepted(fields))
        except Exception as error:  # a mistake in what is told must not end who tells it
            _log.error("no metrics: %r", error, exc_info=True)
            return _answered("500 Internal Server Error", b"see the log of this worker\n")
        return _answered("200 OK", body, (), kind, silent=method == "HEAD")


def _accepted(fields: list[str]) -> str:
    """Several of one name are one, with commas between them."""
    named = [field.partition(":") for field in fields]
    return ",".join(value for name, _, value in named if name.lower() == "accept")


def _answered(
    status: str,
    body: bytes,
    more: tuple[str, ...] = (),
    kind: str = "text/plain; charset=utf-8",
    *,
    silent: bool = False,
) -> bytes:
    fields = (
        f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}",
        "Connection: close", "Cache-Control: no-store", "X-Content-Type-Options: nosniff", *more,
    )  # fmt: skip
    return "\r\n".join((*fields, "", "")).encode("latin-1") + (b"" if silent else body)
