"""A TCP proxy in front of a server, that loses answers on demand."""

from __future__ import annotations

import asyncio
import contextlib
import random
from asyncio import StreamReader, StreamWriter


class Proxy:
    """lose: the connection is cut when the server answers to a request that holds these bytes, so
    that the server has done what was asked and nobody hears of it; counted in `lost`, at most
    `times`; share: of such requests, by `rng`."""

    def __init__(
        self,
        port: int,
        share: float = 1.0,
        rng: random.Random | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self._target = port
        self._host = host
        self._share = share
        self._rng = rng or random.Random(0)
        self.port = 0
        self.lose: bytes | None = None
        self.times = 1
        self.lost = 0
        self._server: asyncio.Server | None = None
        self._writers: set[StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), 5)

    def retarget(self, port: int) -> None:
        """From now on in front of another server; connections to the old one are cut."""
        self._target = port
        self.cut()

    def cut(self) -> None:
        """All connections, at once."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(self._host, self._target)
        except OSError:
            writer.transport.abort()
            return
        doomed = asyncio.Event()
        self._writers |= {writer, back}
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.gather(
                self._pass(reader, back, writer, doomed, asking=True),
                self._pass(there, writer, back, doomed, asking=False),
            )
        self._writers -= {writer, back}

    async def _pass(
        self,
        source: StreamReader,
        target: StreamWriter,
        other: StreamWriter,
        doomed: asyncio.Event,
        *,
        asking: bool,
    ) -> None:
        while data := await source.read(65536):
            if asking and self._loses(data):
                self.lost += 1
                doomed.set()
            if not asking and doomed.is_set():
                target.transport.abort()
                other.transport.abort()
                return
            target.write(data)
            await target.drain()
        target.close()

    def _loses(self, data: bytes) -> bool:
        if self.lose is None or self.lose not in data or self.lost >= self.times:
            return False
        return self._share >= 1.0 or self._rng.random() < self._share
