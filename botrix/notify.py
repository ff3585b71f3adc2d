"""What this process tells the service manager (systemd) about itself, after sd_notify(3).

Nothing is sent where nobody listens. A message that cannot be delivered is dropped: the manager
hears the next one, and a socket that is full must not stop the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

_WITHOUT_WATCHDOG = 20.0


class Notifier:
    """address: $NOTIFY_SOCKET, a path, or an abstract name after `@`; "" where nobody listens.
    watchdog: seconds within which the manager wants to hear of us, 0 where it does not."""

    def __init__(self, address: str, watchdog: float) -> None:
        self._address = address.replace("@", "\0", 1) if address.startswith("@") else address
        self.interval = (watchdog or _WITHOUT_WATCHDOG) / 2

    def ready(self, status: str) -> None:
        """Said again after each wait; the manager acts on the first."""
        self._send("READY=1", "WATCHDOG=1", f"STATUS={status}")

    def alive(self) -> None:
        """To be said each `interval` seconds by whatever shows that this process does its work."""
        self._send("WATCHDOG=1")

    def waiting(self, status: str) -> AbstractAsyncContextManager[None]:
        """Inside of it a store is waited for, however long: the manager waits as well, also with a
        start, as long as the event loop turns."""
        patience = f"EXTEND_TIMEOUT_USEC={round(4e6 * self.interval)}"
        return self._beside("WATCHDOG=1", patience, f"STATUS={status}")

    def stopping(self, status: str) -> AbstractAsyncContextManager[None]:
        """Inside of it this process ends in order; how long that may take, the manager knows."""
        self._send("STOPPING=1", f"STATUS={status}")
        return self._beside("WATCHDOG=1")

    @contextlib.asynccontextmanager
    async def _beside(self, *lines: str) -> AsyncIterator[None]:
        """Says it at once, and again each interval beside what is done meanwhile."""
        saying = asyncio.create_task(self._repeat(*lines))
        try:
            yield
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)

    async def _repeat(self, *lines: str) -> None:
        while True:
            self._send(*lines)
            await asyncio.sleep(self.interval)

    def pass_on(self, *lines: str) -> None:
        """What the processes of this service say of themselves, where it has several."""
        self._send(*lines)

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.setblocking(False)
            way.sendto("\n".join(lines).encode(), self._address)
