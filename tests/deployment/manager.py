"""The receiving end of sd_notify(3): a socket that hears what a service says of itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.servers.system import until


class Manager:
    """Each message, in order; watchdog: seconds."""

    def __init__(self, name: str, watchdog: float) -> None:
        self.heard: list[dict[str, str]] = []
        self.environ = {
            "NOTIFY_SOCKET": name.replace("\0", "@"),
            "WATCHDOG_USEC": str(round(watchdog * 1e6)),
        }

    def said(self, field: str) -> list[str]:
        """All values of it, in order."""
        return [message[field] for message in self.heard if field in message]

    async def hears(self, field: str, value: str, within: float = 20.0) -> None:
        async def heard() -> bool:
            return any(value in said for said in self.said(field))

        await until(heard, within, f"{field}={value}")

    async def hears_again(self, field: str, value: str) -> None:
        before = self.said(field)

        async def heard() -> bool:
            return any(value in said for said in self.said(field)[len(before) :])

        await until(heard, 40, f"{field}={value} once more")

    async def lives(self, times: int) -> None:
        """So many more signs of life come; one each half of the watchdog's time, or more."""
        wanted = len(self.said("WATCHDOG")) + times

        async def lived() -> bool:
            return len(self.said("WATCHDOG")) >= wanted

        await until(lived, 60, f"{times} more signs of life")


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
        made.heard.append({name: value for name, _, value in lines})
