"""What the line shows to people and other programs: jobs, events and the health of workers.

Nothing here decides anything, and all of it may be said twice. The keys bear names that other
programs know, so that on a Cluster they lie in many slots; there what one script does elsewhere is
done in steps, and the event comes last.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ConnectionError as NotConnected

from botrix.line import keys


class Update(msgspec.Struct, frozen=True, gc=False):
    """What the line shows of a job; `forced` where a final job was opened again."""

    tenant_id: str
    job_id: str
    status: str
    results: str | None
    event: str
    forced: bool = False


class Shown(Protocol):
    """Raises whatever redis-py raises."""

    async def publish(self, updates: Sequence[Update]) -> None: ...
    async def get(self, key: str) -> bytes | None: ...
    async def set(self, key: str, text: str, ttl: int) -> None: ...
    async def delete(self, key: str) -> None: ...
    async def workers(self) -> list[bytes]: ...


Call = Callable[[str, Sequence[str], Sequence[Any]], Awaitable[Any]]


class ShownByServer:
    """`call` runs a script by its name."""

    def __init__(self, redis: Redis, call: Call) -> None:
        self._redis = redis
        self._call = call

    async def publish(self, updates: Sequence[Update]) -> None:
        names = [keys.EVENTS]
        values = [keys.UPDATES, str(keys.STATUS_TTL), str(keys.EVENTS_KEPT)]
        for u in updates:
            job = u.job_id
            names += (keys.STATUS_PREFIX + job, keys.RESULTS_PREFIX + job)
            forced = "forced" if u.forced else ""
            values += (u.tenant_id, job, u.status, u.results or "", u.event, forced)
        await self._call("publish", names, values)

    async def get(self, key: str) -> bytes | None:
        found: bytes | None = await answer(self._redis.get(key))
        return found

    async def set(self, key: str, text: str, ttl: int) -> None:
        await self._redis.set(key, text, ex=ttl)

    async def delete(self, key: str) -> None:
        await self._redis.delete(key)

    async def workers(self) -> list[bytes]:
        pattern = f"{keys.HEALTH_PREFIX}*"
        found = [key async for key in self._redis.scan_iter(match=pattern, count=1000)]
        values = await answer(self._redis.mget(found)) if found else []
        return [value for value in values if value]


class ShownByCluster:
    """`call` runs a script by its name where the lanes are: there events are kept, and subscribers
    told; the Cluster tells those of the other nodes. One at a time: after a failure RedisCluster
    closes connections under whoever uses them."""

    def __init__(self, cluster: RedisCluster, call: Call, script: str) -> None:
        self._cluster = cluster
        self._call = call
        self._script = script
        self._turn = asyncio.Lock()

    async def publish(self, updates: Sequence[Update]) -> None:
        values = [keys.UPDATES, str(keys.EVENTS_KEPT)]
        async with self._alone() as cluster:
            pipe = cluster.pipeline()
            for u in updates:
                shown = (str(keys.STATUS_TTL), u.status, "forced" if u.forced else "")
                pipe.eval(self._script, 1, keys.status(u.job_id), *shown)
            written = await answer(pipe.execute())
            pipe = cluster.pipeline()
            for u in (u for u, done in zip(updates, written, strict=True) if done):
                if u.results:
                    pipe.set(keys.results(u.job_id), u.results, ex=keys.STATUS_TTL)
                values += [u.tenant_id, u.job_id, u.event]
            await answer(pipe.execute())
        if len(values) > 2:
            await self._call("tell", [keys.EVENTS], values)

    async def get(self, key: str) -> bytes | None:
        async with self._alone() as cluster:
            found: bytes | None = await answer(cluster.get(key))
            return found

    async def set(self, key: str, text: str, ttl: int) -> None:
        async with self._alone() as cluster:
            await answer(cluster.set(key, text, ex=ttl))

    async def delete(self, key: str) -> None:
        async with self._alone() as cluster:
            await answer(cluster.delete(key))

    async def workers(self) -> list[bytes]:
        pattern = f"{keys.HEALTH_PREFIX}*"
        async with self._alone() as cluster:
            found = [key async for key in cluster.scan_iter(match=pattern, count=1000)]
            pipe = cluster.pipeline()
            for key in found:
                pipe.get(key)
            return [value for value in await answer(pipe.execute()) if value]

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[RedisCluster]:
        async with self._turn:
            try:
                yield self._cluster
            except RuntimeError as error:  # of uvloop: the connection was closed in the middle
                raise NotConnected(str(error)) from error


async def answer(asked: Any) -> Any:
    """redis-py types one method for both of its clients; only awaiting tells them apart."""
    return await asked
