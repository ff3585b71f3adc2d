"""How the line is reached: a server, the primary that Sentinels know, or a node of a Cluster.

redis-py retries on its own unless told not to, and options in a url override those of the code:
both are undone here.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from hiredis import pack_command
from redis.asyncio import (
    Connection,
    ConnectionPool,
    Redis,
    RedisCluster,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection, RedisSSLContext
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.crc import key_slot
from redis.exceptions import RedisClusterException, RedisError, SlotNotCoveredError

from botrix.errors import LineDown
from botrix.line import keys
from botrix.line.address import FAILURES, Address
from botrix.line.url import CLUSTER, SENTINEL, LineUrl, bad_url, read

ANSWER_WITHIN = 2.0
"""Seconds; a line that takes longer for a command counts as down."""
BLOCK_WITHIN = 10.0
"""Seconds; longer than any block."""
_SCRIPT = "EVALSHA"
_SMALL = 16 * 1024
"""Bytes that a transport buffers, if need be, without asking who writes to wait."""
_TOLD_WITHIN = 1.0
"""Seconds for a Sentinel to tell where the primary is, before another one is asked."""

Find = Callable[[], Awaitable[tuple[str, int]]]


class Whereabouts:
    """Where the server is. `find` is asked by each connection when it connects; where it is None,
    the server is where the url says."""

    def __init__(self, find: Find | None = None) -> None:
        self.find = find
        self.epoch = 0

    def forget(self) -> None:
        """Each connection is made anew before it is used again."""
        self.epoch += 1


class _Packing:
    """Packs commands with hiredis, as redis-py's synchronous client does: 1.5 times as fast. A
    script's thousands of values go to it as they are; redis-py would look at each before."""

    _serializer = HiredisRespSerializer()

    def pack_command(self, *args: Any) -> list[bytes]:
        if args[0] == _SCRIPT:
            return [pack_command(args)]
        return cast(list[bytes], self._serializer.pack(*args))


class _Finding:
    """Closed by nobody but who uses it: on uvloop another's write would be a RuntimeError."""

    def __init__(self, *, where: Whereabouts, **options: Any) -> None:
        super().__init__(**options)
        self._where = where
        self._epoch = where.epoch

    async def connect(self) -> None:
        connection = cast(Any, self)
        if connection.is_connected:
            if self._epoch == self._where.epoch:
                return
            await connection.disconnect()
        await cast(Any, super()).connect()

    async def connect_check_health(self, *args: Any, **options: Any) -> None:
        connection = cast(Any, self)
        if not connection.is_connected:
            self._epoch = self._where.epoch
            if self._where.find is not None:
                connection.host, connection.port = await self._where.find()
        await cast(Any, super()).connect_check_health(*args, **options)


class _Sending:
    """Sends what is small in no task of its own, which redis-py makes for the time limit: the
    transport takes it at once, and the limit of the answer counts."""

    _writer: Any

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        connection, redis_py = cast(Any, self), cast(Any, super())
        small = isinstance(command, list) and sum(map(len, command)) <= _SMALL
        if small and connection.is_connected and not connection.health_check_interval:
            self._writer.writelines(command)
        else:
            await redis_py.send_packed_command(command, check_health)


class _Tcp(_Packing, _Sending, _Finding, Connection):
    pass


class _Tls(_Packing, _Sending, _Finding, SSLConnection):
    """All with one context, since to make one takes tens of milliseconds."""

    def __init__(self, *, context: RedisSSLContext | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context: RedisSSLContext = context or self.ssl_context


class _Unix(_Packing, _Sending, _Finding, UnixDomainSocketConnection):
    pass


_CONNECTIONS: dict[str, type[AbstractConnection]] = {"redis": _Tcp, "rediss": _Tls, "unix": _Unix}


@dataclass(frozen=True, slots=True)
class Connections:
    """lanes: for whatever lives in the slot of the lanes; blocking: the same, for commands that
    wait; guides: those who are asked where that is; cluster: for the other keys of a Cluster."""

    address: Address
    lanes: Redis
    blocking: Redis
    guides: Sequence[Redis]
    cluster: RedisCluster | None
    _where: Whereabouts

    def renew(self) -> None:
        """Each connection is made anew before it is used again. The old primary may answer still,
        as a replica; lanes may have gone to another node."""
        self._where.forget()

    async def close(self) -> None:
        for redis in (self.blocking, self.lanes, *self.guides):
            await redis.aclose(close_connection_pool=True)
        if self.cluster is not None:
            await self.cluster.aclose()  # which leaves open what a failure interrupted
            for nodes in ("nodes_cache", "startup_nodes"):
                await self.cluster.nodes_manager.aclose(nodes)


def connections(url: str) -> Connections:
    """url: see `botrix.line.url`. Connects to nothing yet; LineDown for a url that cannot be used,
    or a file of certificates that cannot be read."""
    named = read(url)
    try:
        return _connections(named)
    except (ValueError, TypeError, RedisError, RedisClusterException):  # texts with parts of it
        raise bad_url() from None


def _connections(named: LineUrl) -> Connections:
    guides = [_guide(named, host, port) for host, port in named.nodes]
    finds = {SENTINEL: _primary, CLUSTER: _owner}
    where = Whereabouts(finds[named.kind](named, guides) if named.kind else None)
    lanes, blocking = (
        _redis(named.scheme, _set_straight(named.options, within), where)
        for within in (ANSWER_WITHIN, BLOCK_WITHIN)
    )
    cluster = _cluster(named) if named.kind == CLUSTER else None
    return Connections(named.address, lanes, blocking, guides, cluster, where)


def _guide(named: LineUrl, host: str, port: int) -> Redis:
    options = named.sentinel_options if named.kind == SENTINEL else named.options
    options = _set_straight(options, _TOLD_WITHIN) | {"host": host, "port": port}
    return _redis(named.scheme, options, Whereabouts())


def _redis(scheme: str, options: dict[str, Any], where: Whereabouts) -> Redis:
    kind = _CONNECTIONS[scheme]
    if options.keys() & {"where", "context"}:
        raise ValueError("these are ours, not the url's")
    options = options | {"where": where}
    if kind is _Unix:
        options.pop("socket_keepalive")
    first = kind(**options)  # connects to nothing, but refuses an option that there is not
    if isinstance(first, SSLConnection):
        options["context"] = _with_its_files(first.ssl_context)
    return Redis(connection_pool=ConnectionPool(connection_class=kind, **options))


def _with_its_files(context: RedisSSLContext) -> RedisSSLContext:
    try:
        context.get()
    except OSError as error:
        raise LineDown(
            f"a certificate or key file of the line cannot be read ({error.strerror or error}); "
            "correct ssl_ca_certs, ssl_certfile and ssl_keyfile in REDIS_URL"
        ) from None
    return context


def _set_straight(options: dict[str, Any], within: float) -> dict[str, Any]:
    """Our own options in the place of whatever the url says."""
    theirs = {k: v for k, v in options.items() if k not in ("retry_on_timeout", "retry_on_error")}
    return theirs | {
        "socket_timeout": within,
        "socket_connect_timeout": min(5.0, within),
        "socket_keepalive": True,
        "decode_responses": False,
        "retry": Retry(NoBackoff(), 0),
    }


def _primary(named: LineUrl, sentinels: Sequence[Redis]) -> Find:
    """By the library, which knows which of them to believe."""
    sentinel: Sentinel = cast(Any, Sentinel)([])
    sentinel.sentinels = list(sentinels)

    async def find() -> tuple[str, int]:
        try:
            host, port = await sentinel.discover_master(named.service)
        except MasterNotFoundError as error:  # after the colon: each Sentinel that did not answer
            raise MasterNotFoundError(str(error).partition(" : ")[0]) from None
        return str(host), int(port)

    return find


def _owner(named: LineUrl, nodes: Sequence[Redis]) -> Find:
    """By one of the nodes of the url, whichever answers. All may be asked for good, unlike those
    once found, which may have gone since."""
    slot = key_slot(keys.QUEUE.encode())

    async def find() -> tuple[str, int]:
        failure: BaseException = SlotNotCoveredError(f"no node has slot {slot}")
        for n in random.sample(range(len(nodes)), len(nodes)):
            try:
                ranges = await cast(Any, nodes[n]).execute_command("CLUSTER SLOTS")
            except FAILURES as error:
                failure = error
                continue
            for first, last, (host, port, *_), *_ in ranges:
                if first <= slot <= last:  # a node that does not know its own name says none
                    return (host or b"").decode() or named.nodes[n][0], int(port)
        raise failure

    return find


def _cluster(named: LineUrl) -> RedisCluster:
    """For what may be said twice: after a failure it looks for the nodes anew and repeats once, or
    each restart of a node would lose what was next said to it."""
    options = _set_straight(named.options, ANSWER_WITHIN) | {"retry": Retry(NoBackoff(), 1)}
    return RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in named.nodes],
        ssl=named.scheme == "rediss", dynamic_startup_nodes=False, require_full_coverage=False,
        **options,
    )  # fmt: skip
