"""The receiving end of sd_notify(3): a socket that hears what a service says of itself."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.servers.system import until


class Manager:
    """Each message with the monotonic time at which it came; watchdog: seconds."""

    def __init__(self, name: str, watchdog: float) -> None:
        self.heard: list[tuple[float, dict[str, str]]] = []
        self.environ = {
            "NOTIFY_SOCKET": name.replace("\0", "@"),
            "WATCHDOG_USEC": str(round(watchdog * 1e6)),
        }

    def said(self, field: str) -> list[str]:
        """All values of it, in order."""
        return [message[field] for _, message in self.heard if field in message]

    async def hears(self, field: str, value: str, within: float = 20.0) -> None:
        async def heard() -> bool:
            return any(value in said for said in self.said(field))

        await until(heard, within, f"{field}={value}")

    def longest_silence(self) -> float:
        """Seconds between two signs of life, from the first to now."""
        times = [at for at, message in self.heard if message.get("WATCHDOG") == "1"]
        return max(b - a for a, b in itertools.pairwise([*times, time.monotonic()]))


@asynccontextmanager
async def manager(name: str, watchdog: float) -> AsyncIterator[Manager]:
    """name: a path, or an abstract name after a zero."""
    made = Manager(name, watchdog)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(name)
        ear.setblocking(False)
        hearing = asyncio.create_task(_hear(ear, made))
        try:
            yield made
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)


async def _hear(ear: socket.socket, made: Manager) -> None:
    while True:
        text = await asyncio.get_running_loop().sock_recv(ear, 4096)
        lines = (line.partition("=") for line in text.decode().splitlines())
        made.heard.append((time.monotonic(), {name: value for name, _, value in lines}))
