"""The short way of small commands to the line.

redis-py's pool, pipelines and retries take several times as long for a small command as the command
does; where nothing has run for a while, and the processor's caches have none of it, half a
millisecond. What connects, speaks and fails is redis-py's connection here, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ResponseError

Command = Sequence[Any]


class Straight:
    """Connections beside those of the pool, made as it makes them: one for each that asks at once.
    Raises whatever redis-py raises."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool: Any = pool
        self._free: list[AbstractConnection] = []

    async def ask(self, *commands: Command) -> list[Any]:
        """One round trip. The answers in order, or the first error among them."""
        if not commands:
            return []
        connection = self._free.pop() if self._free else self._pool.make_connection()
        try:
            answers = await self._asked(connection, commands)
        finally:
            self._free.append(connection)  # closed where answers may be under way still
        for one in answers:
            if isinstance(one, ResponseError):
                raise one
        return answers

    async def close(self) -> None:
        free, self._free = self._free, []
        for connection in free:
            await connection.disconnect()

    async def _asked(self, connection: Any, commands: Sequence[Command]) -> list[Any]:
        await self._pool.ensure_connection(connection)
        packed = [part for command in commands for part in connection.pack_command(*command)]
        await connection.send_packed_command(packed)
        return [await _answer(connection) for _ in commands]


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await cast(Any, connection).read_response()
    except ResponseError as error:
        return error
