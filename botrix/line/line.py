"""The one client of the line. Speaks in scripts, so that each step is one round trip and atomic.

redis-py retries on its own unless told not to, and a retried pop loses or doubles jobs: here it
never does; whoever calls decides what is safe to repeat. Every failure becomes LineDown, also that
of a server that is up and refuses writes (MISCONF, OOM, READONLY).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
from redis.asyncio import (
    Connection,
    ConnectionPool,
    Redis,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import NoScriptError, RedisError

from botrix.errors import LineDown
from botrix.line import keys
from botrix.line.entries import LONGEST, encode
from botrix.model import Lane

_SCRIPTS = Path(__file__).parent / "scripts"
_LETTER = {"h": Lane.HIGH, "n": Lane.NORMAL, "l": Lane.LOW}
_NUMBER = {Lane.HIGH: "1", Lane.NORMAL: "2", Lane.LOW: "3"}
_LANES = [keys.LANES[lane] for lane in (Lane.HIGH, Lane.NORMAL, Lane.LOW)]
_ANSWER_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Taken:
    """An entry as taken: its lane and its text."""

    lane: Lane
    raw: bytes


@dataclass(frozen=True, slots=True)
class Back:
    """An entry to push back: to the tail, or untouched to the head."""

    lane: Lane
    raw: bytes
    head: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """An entry that cannot be used, and why."""

    raw: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Placing:
    """A job to push to the tail of its lane."""

    id: str
    place: int
    lane: Lane


@dataclass(frozen=True, slots=True)
class Update:
    """What the line shows of a job; `forced` where a final job was opened again."""

    job_id: str
    status: str
    results: str | None
    event: str
    forced: bool = False


class _Packing:
    """Packs commands with hiredis, as redis-py's synchronous client does: 1.5 times as fast."""

    _serializer = HiredisRespSerializer()

    def pack_command(self, *args: Any) -> list[bytes]:
        return cast(list[bytes], self._serializer.pack(*args))


class _Tcp(_Packing, Connection):
    pass


class _Tls(_Packing, SSLConnection):
    pass


class _Unix(_Packing, UnixDomainSocketConnection):
    pass


_CONNECTIONS = {"redis": _Tcp, "rediss": _Tls, "unix": _Unix}


class Line:
    """Connects when first needed, and again after each failure; needs no restart."""

    def __init__(self, redis: Redis, name: str) -> None:
        self._redis = redis
        self._name = name
        self._texts = {path.stem: path.read_text() for path in _SCRIPTS.glob("*.lua")}
        self._shas: dict[str, str] = {}
        self._peeks: dict[str, asyncio.Task[None]] = {}

    @classmethod
    def open(cls, url: str) -> Line:
        """url: redis://, rediss:// or unix://. Opens no connection yet."""
        parts = urlsplit(url)
        if parts.scheme not in _CONNECTIONS:
            raise LineDown(f"{parts.scheme}:// names no line; use redis://, rediss:// or unix://")
        pool = ConnectionPool.from_url(
            url,
            socket_timeout=_ANSWER_WITHIN,
            socket_connect_timeout=5.0,
            retry=Retry(NoBackoff(), 0),
        )
        pool.connection_class = _CONNECTIONS[parts.scheme]
        shown = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"
        return cls(Redis(connection_pool=pool), shown)

    async def take(self, session: str, pump: str, n: int) -> list[Taken]:
        async with self._down():
            return _read(await self._call("take", *_take(session, pump, n)))

    async def settle_and_take(
        self, session: str, pump: str, back: Sequence[Back], rejected: Sequence[Rejected], n: int
    ) -> list[Taken]:
        """One round trip. Where its answer is lost, say it again: settling twice is refused."""
        async with self._down():
            for _ in range(2):
                pipe = self._redis.pipeline(transaction=False)
                await self._add(pipe, "settle", *_settle(session, pump, back, rejected))
                await self._add(pipe, "take", *_take(session, pump, n))
                try:
                    return _read((await pipe.execute())[1])
                except NoScriptError:
                    self._shas.clear()
            raise LineDown(f"the line {self._name} does not keep scripts")

    async def settle(
        self, session: str, pump: str, back: Sequence[Back], rejected: Sequence[Rejected]
    ) -> str:
        async with self._down():
            answer = await self._call("settle", *_settle(session, pump, back, rejected))
            return str(answer.decode())

    async def give_back(self, session: str, pumps: Iterable[str]) -> int:
        """Returns a dead session's taken entries to the heads of their lanes."""
        async with self._down():
            answers = [
                await self._call("give_back", [*_LANES, keys.taken(session, pump)], [])
                for pump in pumps
            ]
        return sum(answers)

    async def push(self, placed: Sequence[Placing]) -> None:
        async with self._down():
            pipe = self._redis.pipeline(transaction=False)
            for lane in Lane:
                entries = [encode(p.id, p.place) for p in placed if p.lane is lane]
                if entries:
                    pipe.rpush(keys.LANES[lane], *entries)
            await pipe.execute()

    async def publish(self, updates: Sequence[Update]) -> None:
        if not updates:
            return
        names, values = [keys.UPDATES], [str(keys.STATUS_TTL)]
        for u in updates:
            names += [keys.status(u.job_id), keys.results(u.job_id)]
            values += [u.status, u.results or "", u.event, "forced" if u.forced else ""]
        async with self._down():
            await self._call("publish", names, values)

    async def wait(self, timeout: float) -> None:
        """Until a lane has an entry, or `timeout` seconds. Peeks: nothing is moved or lost.

        A peek goes on after a wait that another lane ended: the next wait finds it under way, for
        to cancel it would cost its connection.
        """
        for lane in _LANES:
            if lane not in self._peeks:
                self._peeks[lane] = asyncio.create_task(self._peek(lane, timeout))
        peeks = dict(self._peeks)
        done, _ = await asyncio.wait(peeks.values(), return_when=asyncio.FIRST_COMPLETED)
        for lane, peek in peeks.items():
            if peek in done and self._peeks.get(lane) is peek:
                del self._peeks[lane]
        for peek in done:
            peek.result()

    async def heads(self, lane: Lane, n: int) -> list[bytes]:
        async with self._down():
            entries: list[bytes] = await _answer(self._redis.lrange(keys.LANES[lane], 0, n - 1))
            return entries

    async def depths(self) -> dict[Lane, int]:
        async with self._down():
            pipe = self._redis.pipeline(transaction=False)
            for lane in Lane:
                pipe.llen(keys.LANES[lane])
            return dict(zip(Lane, await pipe.execute(), strict=True))

    async def heartbeat(self, worker_id: str, text: str, ttl: int) -> None:
        async with self._down():
            await self._redis.set(keys.health(worker_id), text, ex=ttl)

    async def forget_worker(self, worker_id: str) -> None:
        async with self._down():
            await self._redis.delete(keys.health(worker_id))

    async def workers(self) -> list[bytes]:
        """The health of each live worker, as JSON."""
        async with self._down():
            pattern = f"{keys.HEALTH_PREFIX}*"
            found = [key async for key in self._redis.scan_iter(match=pattern, count=1000)]
            values = await _answer(self._redis.mget(found)) if found else []
            return [value for value in values if value]

    async def rejected(self, n: int) -> list[bytes]:
        async with self._down():
            entries: list[bytes] = await _answer(self._redis.lrange(keys.REJECTED, -n, -1))
            return entries

    async def ping(self) -> None:
        async with self._down():
            await _answer(self._redis.ping())

    async def close(self) -> None:
        peeks, self._peeks = list(self._peeks.values()), {}
        for peek in peeks:
            peek.cancel()
        await asyncio.gather(*peeks, return_exceptions=True)
        await self._redis.aclose(close_connection_pool=True)

    async def _peek(self, lane: str, timeout: float) -> None:
        async with self._down():
            await _answer(self._redis.blmove(lane, lane, cast(int, timeout), "LEFT", "LEFT"))

    async def _call(self, script: str, names: Sequence[str], values: Sequence[Any]) -> Any:
        for _ in range(2):
            sha = await self._sha(script)
            try:
                return await _answer(self._redis.evalsha(sha, len(names), *names, *values))
            except NoScriptError:  # the server was restarted, or its scripts flushed
                self._shas.clear()
        raise LineDown(f"the line {self._name} does not keep scripts")

    async def _add(
        self, pipe: Any, script: str, names: Sequence[str], values: Sequence[Any]
    ) -> None:
        pipe.evalsha(await self._sha(script), len(names), *names, *values)

    async def _sha(self, script: str) -> str:
        if script not in self._shas:
            sha = await _answer(self._redis.script_load(self._texts[script]))
            self._shas[script] = sha.decode() if isinstance(sha, bytes) else str(sha)
        return self._shas[script]

    @asynccontextmanager
    async def _down(self) -> AsyncIterator[None]:
        try:
            yield
        except (RedisError, OSError, TimeoutError) as error:
            said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise LineDown(
                f"the line {self._name} does not answer ({said}); work goes on from the ledger"
            ) from error


def _take(session: str, pump: str, n: int) -> tuple[list[str], list[Any]]:
    names = [*_LANES, keys.taken(session, pump), keys.TURN, keys.REJECTED]
    return names, [n, LONGEST, int(time.time())]


def _settle(
    session: str, pump: str, back: Sequence[Back], rejected: Sequence[Rejected]
) -> tuple[list[str], list[Any]]:
    values: list[Any] = []
    for b in back:
        values += ["head" if b.head else "tail", _NUMBER[b.lane], b.raw]
    for r in rejected:
        values += ["rejected", "0", _reason(r)]
    return [*_LANES, keys.taken(session, pump), keys.REJECTED], values


def _reason(rejected: Rejected) -> bytes:
    entry = rejected.raw[:1024].decode("utf-8", "replace")
    return msgspec.json.encode({"reason": rejected.reason, "at": int(time.time()), "entry": entry})


def _read(entries: Iterable[bytes]) -> list[Taken]:
    return [Taken(_LETTER[chr(entry[0])], entry[1:]) for entry in entries]


async def _answer(asked: Any) -> Any:
    """redis-py types one method for both of its clients; only awaiting tells them apart."""
    return await asked
