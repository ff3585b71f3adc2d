"""Raw sockets to an API: what is sent is sent as it is."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

WITHIN = 30.0


@dataclass
class Answer:
    """As read from the socket."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/problem+json", self
        said: dict[str, Any] = json.loads(self.body)
        assert said["status"] == self.status
        return said


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *parts: bytes) -> None:
        """Each part in a packet of its own, as far as that can be had; a peer that closed is no
        error here."""
        for part in parts:
            with contextlib.suppress(ConnectionError):
                self.writer.write(part)
                await self.writer.drain()

    async def answer(self, method: str = "GET") -> Answer:
        async with asyncio.timeout(WITHIN):
            status = int((await self.reader.readline()).split()[1])
            headers = {}
            while (line := await self.reader.readline()).strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            body = b"" if method == "HEAD" or status == 204 else await self._body(headers)
            return Answer(status, headers, body)

    async def _body(self, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return body

    async def closed(self, within: float = WITHIN) -> bytes:
        """What came until the end."""
        async with asyncio.timeout(within):
            said = b""
            with contextlib.suppress(ConnectionError):
                while some := await self.reader.read(65536):
                    said += some
            return said


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
