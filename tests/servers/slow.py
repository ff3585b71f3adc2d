"""A slow line to a server: what is asked arrives bit by bit, what is answered at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_PIECE = 512


@asynccontextmanager
async def slow_line(port: int, octets: int) -> AsyncIterator[int]:
    """The port of its near end; port: of the server. octets: a second, on each connection. What
    was not passed on when a client ends is lost."""
    calls: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.current_task()
        assert call is not None
        calls.add(call)
        call.add_done_callback(calls.discard)
        there, back = await asyncio.open_connection("127.0.0.1", port)
        answers = asyncio.create_task(_pass(there, writer, 0))
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await _pass(reader, back, _PIECE / octets)
        back.transport.abort()
        with contextlib.suppress(OSError):
            await answers
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for call in list(calls):
            call.cancel()
        await asyncio.gather(*calls)


async def _pass(source: asyncio.StreamReader, into: asyncio.StreamWriter, pause: float) -> None:
    while piece := await source.read(_PIECE if pause else 65536):
        into.write(piece)
        await into.drain()
        await asyncio.sleep(pause)
