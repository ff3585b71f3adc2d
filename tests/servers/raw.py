"""A server that says to whoever connects what a test tells it to, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Answer = Callable[[], AsyncIterator[bytes]]


class RawServer:
    """url: where it listens, on loopback. asked: the first line of each request."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._calls: set[asyncio.Task[None]] = set()
        self.asked: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.current_task()
        assert call is not None
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head.split(b"\r\n")[0].decode())
            async for part in self._answer():
                writer.write(part)
                await writer.drain()
        writer.close()

    async def hang_up(self) -> None:
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls)


@asynccontextmanager
async def raw_server(answer: Answer) -> AsyncIterator[RawServer]:
    made = RawServer(answer)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.hang_up()


def saying(*parts: bytes) -> Answer:
    """These, then the end."""

    async def answer() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return answer
