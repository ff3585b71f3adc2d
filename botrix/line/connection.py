"""How the line is reached: a server, the primary that Sentinels know, or a node of a Cluster.

redis-py retries on its own unless told not to, and options in a url override those of the code:
both are undone here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import (
    Connection,
    ConnectionPool,
    Redis,
    RedisCluster,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.crc import key_slot
from redis.exceptions import RedisClusterException, RedisError

from botrix.errors import LineDown
from botrix.line import keys
from botrix.line.address import Address
from botrix.line.url import CLUSTER, SENTINEL, LineUrl, bad_url, read

ANSWER_WITHIN = 2.0
"""Seconds; a line that takes longer for a command counts as down."""
BLOCK_WITHIN = 10.0
"""Seconds; longer than any block."""
_TOLD_WITHIN = 1.0
"""Seconds for a Sentinel to tell where the primary is, before another one is asked."""

Find = Callable[[], Awaitable[tuple[str, int]]]


class _Packing:
    """Packs commands with hiredis, as redis-py's synchronous client does: 1.5 times as fast."""

    _serializer = HiredisRespSerializer()

    def pack_command(self, *args: Any) -> list[bytes]:
        return cast(list[bytes], self._serializer.pack(*args))


class _Finding:
    """Asks where the server is each time that it connects."""

    def __init__(self, *, find: Find | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._find = find

    async def connect_check_health(self, *args: Any, **options: Any) -> None:
        connection = cast(Any, self)
        if self._find is not None and not connection.is_connected:
            connection.host, connection.port = await self._find()
        await cast(Any, super()).connect_check_health(*args, **options)


class _Tcp(_Packing, _Finding, Connection):
    pass


class _Tls(_Packing, _Finding, SSLConnection):
    pass


class _Unix(_Packing, UnixDomainSocketConnection):
    pass


_CONNECTIONS: dict[str, type[AbstractConnection]] = {"redis": _Tcp, "rediss": _Tls, "unix": _Unix}


@dataclass(frozen=True, slots=True)
class Connections:
    """lanes: for whatever lives in the slot of the lanes; blocking: the same, for commands that
    wait; cluster: for the other keys of a Cluster."""

    lanes: Redis
    blocking: Redis
    cluster: RedisCluster | None
    sentinel: Sentinel | None
    address: Address

    async def renew(self) -> None:
        """The next command of each connection finds the server anew. After a failover the old
        primary may answer still, as a replica."""
        for redis in (self.lanes, self.blocking):
            pool = redis.connection_pool
            await cast(Any, pool).update_active_connections_for_reconnect()
            await pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        await self.blocking.aclose(close_connection_pool=True)
        await self.lanes.aclose(close_connection_pool=True)
        if self.cluster is not None:  # its own aclose leaves open what a failure interrupted
            for nodes in ("nodes_cache", "startup_nodes"):
                await self.cluster.nodes_manager.aclose(nodes)
        if self.sentinel is not None:
            await self.sentinel.aclose()


def connections(url: str) -> Connections:
    """url: see `botrix.line.url`. Connects to nothing yet; LineDown for a url that cannot be used,
    or a file of certificates that cannot be read."""
    named = read(url)
    cluster, sentinel, find = None, None, None
    try:
        if named.kind == CLUSTER:
            cluster = _cluster(named)
            find = _owner(cluster)
        elif named.kind == SENTINEL:
            sentinel = _sentinel(named)
            find = _primary(sentinel, named.service)
        pools = [_pool(named, within, find) for within in (ANSWER_WITHIN, BLOCK_WITHIN)]
    except (
        ValueError,
        TypeError,
        RedisError,
        RedisClusterException,
    ):  # their texts hold parts of the url
        raise bad_url() from None
    lanes, blocking = (Redis(connection_pool=pool) for pool in pools)
    return Connections(lanes, blocking, cluster, sentinel, named.address)


def _pool(named: LineUrl, within: float, find: Find | None = None) -> ConnectionPool:
    """within: seconds for one answer."""
    kind = _CONNECTIONS[named.scheme]
    options = _set_straight(named.options, within, kind) | ({"find": find} if find else {})
    first = kind(**options)  # connects to nothing, but refuses an option that there is not
    if isinstance(first, SSLConnection):
        _certificates_are_there(first)
    return ConnectionPool(connection_class=kind, **options)


def _certificates_are_there(connection: SSLConnection) -> None:
    try:
        connection.ssl_context.get()
    except OSError as error:
        raise LineDown(
            f"a certificate or key file of the line cannot be read ({error.strerror or error}); "
            "correct ssl_ca_certs, ssl_certfile and ssl_keyfile in REDIS_URL"
        ) from None


def _set_straight(
    options: dict[str, Any], within: float, kind: type[AbstractConnection] | None = None
) -> dict[str, Any]:
    """Our own options in the place of whatever the url says."""
    ours: dict[str, Any] = {
        "socket_timeout": within,
        "socket_connect_timeout": min(5.0, within),
        "decode_responses": False,
        "retry": Retry(NoBackoff(), 0),
    }
    if kind is not _Unix:
        ours["socket_keepalive"] = True
    theirs = {k: v for k, v in options.items() if k not in ("retry_on_timeout", "retry_on_error")}
    return theirs | ours


def _sentinel(named: LineUrl) -> Sentinel:
    """Of the library, which knows whom to believe; the connections are ours."""
    sentinel: Sentinel = cast(Any, Sentinel)([])
    kind, options = _CONNECTIONS[named.scheme], _set_straight(named.sentinel_options, _TOLD_WITHIN)
    for host, port in named.nodes:
        pool = ConnectionPool(connection_class=kind, host=host, port=port, **options)
        sentinel.sentinels.append(Redis.from_pool(pool))
    return sentinel


def _primary(sentinel: Sentinel, service: str) -> Find:
    async def find() -> tuple[str, int]:
        try:
            host, port = await sentinel.discover_master(service)
        except MasterNotFoundError as error:  # after the colon: each Sentinel that did not answer
            raise MasterNotFoundError(str(error).partition(" : ")[0]) from None
        return str(host), int(port)

    return find


def _cluster(named: LineUrl) -> RedisCluster:
    """It follows MOVED and ASK, which say that nothing was done, and repeats nothing else. The
    nodes of the url are asked for good, not those once found: they may all have moved since."""
    return RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in named.nodes],
        ssl=named.scheme == "rediss", dynamic_startup_nodes=False, require_full_coverage=False,
        **_set_straight(named.options, ANSWER_WITHIN),
    )  # fmt: skip


def _owner(cluster: RedisCluster) -> Find:
    slot = key_slot(keys.QUEUE.encode())

    async def find() -> tuple[str, int]:
        await cluster.nodes_manager.initialize()
        node = cluster.nodes_manager.get_node_from_slot(slot)
        return str(node.host), int(node.port)

    return find
