"""The HTTP server, which tells the service manager how it is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import uvicorn

from botrix import process, traces
from botrix.errors import LedgerDown
from botrix.notify import Notifier

_LAST_SPANS = 2.0
"""Seconds that they may take."""


class Server(uvicorn.Server):
    """look: raises LedgerDown while jobs cannot be accepted; the first that does not, once this
    server listens, makes it ready. ending: called before anything of it ends."""

    def __init__(
        self, config: uvicorn.Config, notifier: Notifier, look: Callable[[], Awaitable[None]],
        ending: Callable[[], None],
    ) -> None:  # fmt: skip
        super().__init__(config)
        self._notifier = notifier
        self._look = look
        self._ending = ending

    async def main_loop(self) -> None:
        process.begun()
        telling = asyncio.create_task(self._tell())
        try:
            await super().main_loop()
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        async with self._notifier.stopping("finishing what was asked"):
            self._ending()
            await super().shutdown(sockets)
            await asyncio.to_thread(traces.close, _LAST_SPANS)

    async def _tell(self) -> None:
        async with self._notifier.waiting("waiting for the ledger"):
            await self._looked_well()
        self._notifier.ready(f"listening on {self.config.host}, port {self.config.port}")
        while True:
            await asyncio.sleep(self._notifier.interval)
            self._notifier.alive()

    async def _looked_well(self) -> None:
        while True:
            try:
                return await self._look()
            except LedgerDown:
                await asyncio.sleep(1.0)
