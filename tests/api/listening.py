"""Who listens to events as a program does: reads the stream, and comes back with the last id."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.servers.system import System, until

_NO_LIMIT = aiohttp.ClientTimeout(total=None, sock_read=60)


@dataclass(frozen=True)
class Event:
    """As the standard reads it; data is JSON."""

    event: str
    id: str
    data: dict[str, Any]


def parse(text: str) -> Event | None:
    """One block; None where it is no event."""
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        name, _, value = line.partition(": ")
        if name and not line.startswith(":"):
            assert name in ("event", "id", "data", "retry"), line
            fields[name] = value
    if "data" not in fields:
        return None
    return Event(fields["event"], fields.get("id", ""), json.loads(fields["data"]))


@dataclass
class Heard:
    """What came, as it comes. last: the id to come back with."""

    events: list[Event] = field(default_factory=list)
    last: str = ""
    status: int = 0
    ended: bool = False

    def of(self, event: str) -> list[dict[str, Any]]:
        return [one.data for one in self.events if one.event == event]

    def ids(self) -> list[str]:
        return [one.id for one in self.events if one.event == "job" and one.id]

    def has(self, event: str, **data: Any) -> bool:
        return any(data.items() <= one.items() for one in self.of(event))

    async def until(
        self, condition: Callable[[Heard], bool], what: str, within: float = 20
    ) -> None:
        async def holds() -> bool:
            return condition(self)

        await until(holds, within, what)


async def blocks(answer: aiohttp.ClientResponse) -> AsyncIterator[str]:
    rest = b""
    async for some in answer.content.iter_any():
        *whole, rest = (rest + some).split(b"\n\n")
        for block in whole:
            yield block.decode()


async def hear(
    http: aiohttp.ClientSession, path: str, heard: Heard, last: str = "", **headers: str
) -> None:
    """Until the stream ends, or is cut off."""
    sent = {**headers, **({"Last-Event-ID": last} if last else {})}
    try:
        async with http.get(path, headers=sent, timeout=_NO_LIMIT) as answer:
            heard.status = answer.status
            async for block in blocks(answer):
                for line in block.split("\n"):
                    if line.startswith("id: "):
                        heard.last = line[4:]
                event = parse(block)
                if event is not None:
                    heard.events.append(event)
    except aiohttp.ClientError:
        pass
    finally:
        heard.ended = True


@asynccontextmanager
async def listening(
    system: System, path: str = "/api/events", last: str = "",
    http: aiohttp.ClientSession | None = None,
) -> AsyncIterator[Heard]:  # fmt: skip
    """From `ready` on."""
    heard = Heard()
    task = asyncio.create_task(hear(http or system.http, path, heard, last))
    try:
        await heard.until(lambda h: bool(h.of("ready")) or h.ended, f"{path} begins")
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
