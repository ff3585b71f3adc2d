"""The one client of the line. Speaks in scripts, so that each step is one round trip and atomic.

Nothing is retried here, since a retried pop loses or doubles jobs: whoever calls decides what is
safe to repeat. Every failure becomes LineDown, also that of a server that is up and refuses writes
(MISCONF, OOM, READONLY).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

from botrix.errors import LineDown
from botrix.line import keys
from botrix.line.address import FAILURES
from botrix.line.connection import Connections, connections
from botrix.line.entries import LONGEST, encode
from botrix.line.outage import Outage
from botrix.line.peeks import Peeks
from botrix.line.shown import Shown, ShownByCluster, ShownByServer, Update, answer
from botrix.line.straight import Command, Straight
from botrix.line.stream import Stream, Told
from botrix.model import Lane

_SCRIPTS = Path(__file__).parent / "scripts"
_SHARED = _SCRIPTS / "shared"
_LETTER = {b"h": Lane.HIGH, b"n": Lane.NORMAL, b"l": Lane.LOW}
_NUMBER = {Lane.HIGH: "1", Lane.NORMAL: "2", Lane.LOW: "3"}
_LANES = [keys.LANES[lane] for lane in (Lane.HIGH, Lane.NORMAL, Lane.LOW)]
_NO_SCRIPTS = "the line {} does not keep scripts; see its log"
_QUIET = 5.0
"""Seconds without an event after which a subscriber asks whether the line is still there."""


class Taken(msgspec.Struct, frozen=True, gc=False):
    """An entry as taken: its lane and its text."""

    lane: Lane
    raw: bytes


class Back(msgspec.Struct, frozen=True, gc=False):
    """An entry to push back: to the tail, or untouched to the head."""

    lane: Lane
    raw: bytes
    head: bool


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """An entry that cannot be used, and why."""

    raw: bytes
    reason: str


class Placing(msgspec.Struct, frozen=True, gc=False):
    """A job to push to the tail of its lane."""

    id: str
    place: int
    lane: Lane


class New(msgspec.Struct, frozen=True, gc=False):
    """A job that is pending; place: None where it is not to be pushed yet."""

    tenant_id: str
    id: str
    event: str
    lane: Lane
    place: int | None


class Line:
    """Connects when first needed, and again after each failure; needs no restart."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._redis = connections.lanes
        self._straight = Straight(connections.lanes.connection_pool)
        self._blocking = Straight(connections.blocking.connection_pool)
        self._address = connections.address
        self._outage = Outage(self._probe)
        self._texts = _texts()
        self._shas: dict[str, str] = {}
        self._peeks = Peeks(_LANES, self._peek)
        self._batches: dict[tuple[str, str], str] = {}
        self._shown = self._shows()
        self._stream = Stream(connections.lanes, connections.blocking)

    @classmethod
    def open(cls, url: str) -> Line:
        """url: of a server, of Sentinels or of a Cluster (see `botrix.line.url`). Opens no
        connection yet. Raises LineDown for a url that cannot be used."""
        return cls(connections(url))

    @property
    def up(self) -> bool:
        """False from a failure on until the line takes a write again; that is tried each second."""
        return self._outage.over

    async def take(self, session: str, pump: str, n: int) -> list[Taken]:
        """Up to n entries; those of the last take again, as long as they are not settled."""
        async with self._down():
            return self._taken(session, pump, await self._call("take", *_take(session, pump, n)))

    async def settle_and_take(
        self, session: str, pump: str, back: Sequence[Back], rejected: Sequence[Rejected], n: int
    ) -> list[Taken]:
        """One round trip. Where its answer is lost, say it again: what is settled is the batch
        that this Line saw last, so that a repeat cannot settle the one that it never saw."""
        async with self._down():
            for _ in range(2):
                settle = await self._script("settle", *self._settle(session, pump, back, rejected))
                take = await self._script("take", *_take(session, pump, n))
                try:
                    return self._taken(session, pump, (await self._straight.ask(settle, take))[1])
                except NoScriptError:
                    self._shas.clear()
            raise LineDown(_NO_SCRIPTS.format(self._address.shown))

    async def settle(
        self, session: str, pump: str, back: Sequence[Back], rejected: Sequence[Rejected]
    ) -> str:
        """'settled', or 'already' where that was done before."""
        async with self._down():
            answer = await self._call("settle", *self._settle(session, pump, back, rejected))
        self._batches.pop((session, pump), None)
        return str(answer.decode())

    async def give_back(self, sessions: Iterable[str], pumps: Sequence[str]) -> int:
        """Returns the taken entries of sessions that are gone to the heads of their lanes."""
        taken = [keys.taken(session, pump) for session in sessions for pump in pumps]
        async with self._down():
            return int(await self._call("give_back", [*_LANES, *taken], []))

    async def push(self, placed: Sequence[Placing]) -> None:
        async with self._down():
            await self._straight.ask(*_pushes(placed))

    async def enter(self, new: Sequence[New]) -> None:
        """Shows jobs as pending, and pushes those with a place. One round trip, but on a Cluster,
        where what is shown lies elsewhere."""
        if self._connections.cluster is not None:
            await self.publish([_pending(job) for job in new])
            placed = [Placing(job.id, job.place, job.lane) for job in new if job.place is not None]
            await self.push(placed)
        elif new:
            async with self._down():
                await self._call("enter", *_enter(new))

    async def publish(self, updates: Sequence[Update]) -> None:
        if updates:
            async with self._down():
                await self._shown.publish(updates)

    async def subscribe(self) -> AsyncIterator[bytes]:
        """Each event from now on. LineDown ends it: what happens until the next is not told."""
        pubsub = self._redis.pubsub()
        try:
            async with self._down():
                await pubsub.subscribe(keys.UPDATES)
            asked = False
            while True:
                async with self._down():
                    told = await pubsub.get_message(timeout=_QUIET)
                    if told is None and asked:
                        raise TimeoutError("no answer to a ping")
                    asked = told is None
                    if asked:
                        await answer(pubsub.ping())
                if told is not None and told["type"] == "message":
                    yield told["data"]
        finally:
            await answer(pubsub.aclose())  # type: ignore[no-untyped-call]

    async def events_after(self, after: str, n: int) -> list[Told] | None:
        """The first n behind the event of that id; None where it is not kept any more."""
        async with self._down(), self._reading():
            return await self._stream.after(after, n)

    async def events_last(self, n: int) -> list[Told]:
        async with self._down(), self._reading():
            return await self._stream.last(n)

    async def events_wait(self, after: str, timeout: float) -> None:
        """Until there is one behind it, the line is down, or `timeout` seconds."""
        await self._outage.unless(self._awaited(after, timeout))

    async def status(self, job_id: str) -> str | None:
        async with self._down():
            found = await self._shown.get(keys.status(job_id))
        return None if found is None else found.decode("utf-8", "replace")

    async def results(self, job_id: str) -> bytes | None:
        """JSON, of a final job."""
        async with self._down():
            return await self._shown.get(keys.results(job_id))

    async def wait(self, timeout: float) -> None:
        """Until a lane has an entry, the line is down, or `timeout` seconds. Nothing is moved."""
        await self._outage.unless(self._peeks.wait(timeout))

    async def heads(self, lane: Lane, n: int) -> list[bytes]:
        async with self._down():
            entries: list[bytes] = await answer(self._redis.lrange(keys.LANES[lane], 0, n - 1))
            return entries

    async def depths(self) -> dict[Lane, int]:
        async with self._down():
            pipe = self._redis.pipeline(transaction=False)
            for lane in Lane:
                pipe.llen(keys.LANES[lane])
            return dict(zip(Lane, await pipe.execute(), strict=True))

    async def heartbeat(self, worker_id: str, text: str, ttl: int) -> None:
        async with self._down():
            await self._shown.set(keys.health(worker_id), text, ttl)

    async def forget_worker(self, worker_id: str) -> None:
        async with self._down():
            await self._shown.delete(keys.health(worker_id))

    async def workers(self) -> list[bytes]:
        """The health of each live worker, as JSON."""
        async with self._down():
            return await self._shown.workers()

    async def rejected(self, n: int) -> list[bytes]:
        """The last n, each as JSON: reason, at, and the entry's beginning or its length."""
        async with self._down():
            entries: list[bytes] = await answer(self._redis.lrange(keys.REJECTED, -n, -1))
            return entries if n > 0 else []

    async def rejections(self) -> int:
        """How many of them are kept."""
        async with self._down():
            return int(await answer(self._redis.llen(keys.REJECTED)))

    async def count_request(self, tenant_id: str, minute: int) -> int:
        """How many there are of this tenant in this minute, with this one."""
        async with self._down():
            name = keys.requests(tenant_id, minute)
            return int(await self._call("count", [name], [keys.REQUESTS_TTL]))

    async def ping(self) -> None:
        """By a write, since a line that is up and refuses writes is down. Raises LineDown."""
        async with self._down():
            await answer(self._redis.incrby(keys.TURN, 0))

    async def close(self) -> None:
        await self._outage.close()
        await self._peeks.close()
        await self._blocking.close()
        await self._straight.close()
        await self._connections.close()

    def _shows(self) -> Shown:
        if self._connections.cluster is None:
            return ShownByServer(self._redis, self._call)
        return ShownByCluster(self._connections.cluster, self._call, self._texts["show"])

    async def _probe(self) -> bool:
        """By a new connection."""
        try:
            self._connections.renew()
            await self.ping()
        except LineDown:
            return False
        return True

    async def _peek(self, lane: str, seconds: float) -> bool:
        async with self._down():
            peek = ("BLMOVE", lane, lane, "LEFT", "LEFT", seconds)
            return (await self._blocking.ask(peek))[0] is not None

    async def _awaited(self, after: str, timeout: float) -> None:
        async with self._down(), self._reading():
            await self._stream.wait(after, timeout)

    def _taken(self, session: str, pump: str, entries: Sequence[bytes]) -> list[Taken]:
        digest = hashlib.sha1(b"\n".join(entries), usedforsecurity=False).hexdigest()
        self._batches[session, pump] = digest if entries else ""
        return [Taken(_LETTER.get(entry[:1], Lane.NORMAL), entry[1:]) for entry in entries]

    def _settle(
        self, session: str, pump: str, back: Sequence[Back], rejected: Sequence[Rejected]
    ) -> tuple[list[str], list[Any]]:
        values: list[Any] = [self._batches.get((session, pump), "")]
        for b in back:
            values += ["head" if b.head else "tail", _NUMBER[b.lane], b.raw]
        for r in rejected:
            values += ["rejected", "0", _reason(r)]
        return [*_LANES, keys.taken(session, pump), keys.REJECTED], values

    async def _call(self, script: str, names: Sequence[str], values: Sequence[Any]) -> Any:
        for _ in range(2):
            command = await self._script(script, names, values)
            try:
                return (await self._straight.ask(command))[0]
            except NoScriptError:  # the server was restarted, or its scripts flushed
                self._shas.clear()
        raise LineDown(_NO_SCRIPTS.format(self._address.shown))

    async def _script(self, script: str, names: Sequence[str], values: Sequence[Any]) -> Command:
        return ("EVALSHA", await self._sha(script), len(names), *names, *values)

    async def _sha(self, script: str) -> str:
        if script not in self._shas:
            sha = await answer(self._redis.script_load(self._texts[script]))
            self._shas[script] = sha.decode() if isinstance(sha, bytes) else str(sha)
        return self._shas[script]

    @asynccontextmanager
    async def _down(self) -> AsyncIterator[None]:
        try:
            yield
        except FAILURES as error:
            self._outage.begin()
            raise self._address.down(error) from error

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        """What hinders only who reads events (an ACL of an earlier release, a key that another
        program wrote there) is no outage of the line."""
        try:
            yield
        except ResponseError as error:
            if isinstance(error, NoPermissionError) or str(error).startswith("WRONGTYPE"):
                raise self._address.down(error) from error
            raise


def _texts() -> dict[str, str]:
    """Each script by its name; what several of them need stands before each."""
    shared = "".join(path.read_text() for path in sorted(_SHARED.glob("*.lua")))
    return {path.stem: shared + path.read_text() for path in _SCRIPTS.glob("*.lua")}


def _pending(job: New) -> Update:
    return Update(job.tenant_id, job.id, "pending", None, job.event)


def _enter(new: Sequence[New]) -> tuple[list[str], list[Any]]:
    names = [*_LANES, keys.EVENTS, *(keys.STATUS_PREFIX + job.id for job in new)]
    values: list[Any] = [keys.UPDATES, keys.STATUS_TTL, keys.EVENTS_KEPT]
    for job in new:
        entry = b"" if job.place is None else encode(job.id, job.place)
        values += (job.tenant_id, job.id, job.event, _NUMBER[job.lane], entry)
    return names, values


def _take(session: str, pump: str, n: int) -> tuple[list[str], list[Any]]:
    names = [*_LANES, keys.taken(session, pump), keys.TURN, keys.REJECTED]
    return names, [n, LONGEST, int(time.time())]


def _pushes(placed: Sequence[Placing]) -> list[Command]:
    entries = {lane: [encode(p.id, p.place) for p in placed if p.lane is lane] for lane in Lane}
    return [("RPUSH", keys.LANES[lane], *raw) for lane, raw in entries.items() if raw]


def _reason(rejected: Rejected) -> bytes:
    entry = rejected.raw[:1024].decode("utf-8", "replace")
    reason = rejected.reason.encode("utf-8", "replace").decode()
    return msgspec.json.encode({"reason": reason, "at": int(time.time()), "entry": entry})
