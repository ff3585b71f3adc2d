"""The events that the line keeps: the last ones, in order, each under an id that grows.

An id is a place in the stream as long as its own event is there: events go at the old end only, so
that then none behind it has gone. After FLUSHALL, or on another line, it is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis

from botrix.line import keys

NOWHERE = "0-0"
"""Before the first event that there ever was."""
LONGEST = 4096
"""Bytes of an event; ours are far shorter, and another program's is none."""


class Told(NamedTuple):
    """event: JSON, in one line."""

    id: str
    tenant_id: str
    job_id: str
    event: bytes


class Stream:
    """Raises whatever redis-py raises."""

    def __init__(self, redis: Redis, blocking: Redis) -> None:
        self._redis = redis
        self._blocking = blocking

    async def after(self, after: str, n: int) -> list[Told] | None:
        if after == NOWHERE:
            return _told(await self._redis.xrange(keys.EVENTS, "-", "+", count=n))
        found = _told(await self._redis.xrange(keys.EVENTS, after, "+", count=n + 1))
        return found[1:] if found and found[0].id == after else None

    async def last(self, n: int) -> list[Told]:
        return _told(await self._redis.xrevrange(keys.EVENTS, "+", "-", count=n))[::-1]

    async def wait(self, after: str, timeout: float) -> None:
        block = max(1, int(timeout * 1000))  # 0 would block for ever
        await self._blocking.xread({keys.EVENTS: after}, count=1, block=block)


def stamp(ident: str) -> tuple[int, int]:
    """By which ids are compared: milliseconds since 1970 of the line's clock, and a number."""
    at, _, n = ident.partition("-")
    return int(at), int(n or 0)


def _told(entries: Any) -> list[Told]:
    found: Sequence[tuple[bytes, dict[bytes, bytes]]] = entries
    return [
        Told(
            ident.decode(),
            fields.get(b"t", b"").decode("utf-8", "replace"),
            fields.get(b"j", b"").decode("utf-8", "replace"),
            fields.get(b"e", b""),
        )
        for ident, fields in found
    ]
