"""How the line is reached, and what its failures mean for people.

redis-py retries on its own unless told not to, and options in a url override those of the code:
both are undone here. No message holds a password.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from redis.asyncio import (
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import (
    ConnectionError as NotConnected,
)
from redis.exceptions import (
    TimeoutError as NotInTime,
)

from botrix.errors import LineDown

ANSWER_WITHIN = 2.0
"""Seconds; a line that takes longer for a command counts as down."""
BLOCK_WITHIN = 10.0
"""Seconds; longer than any block."""

_MEANINGS: list[tuple[tuple[type[BaseException], ...], str, str]] = [
    ((BusyLoadingError,), "is still loading its data", "wait until it has"),
    (
        (AuthenticationError, NoPermissionError),
        "refuses these credentials",
        "correct the user and password in REDIS_URL",
    ),
    ((ReadOnlyError,), "is a read-only replica", "let REDIS_URL name the primary"),
    ((OutOfMemoryError,), "is out of memory", "raise its maxmemory"),
    (
        (NotConnected, NotInTime, OSError, TimeoutError),
        "does not answer",
        "start it, or correct REDIS_URL",
    ),
]
_PREFIXES = {
    "MISCONF": ("cannot write to its disk", "see its log and free space"),
    "WRONGTYPE": ("holds a key of the wrong type", "delete what another program wrote there"),
    "NOAUTH": ("asks for a password", "put it into REDIS_URL"),
    "OOM": ("is out of memory", "raise its maxmemory"),
    "READONLY": ("is a read-only replica", "let REDIS_URL name the primary"),
    "LOADING": ("is still loading its data", "wait until it has"),
}


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


_CONNECTIONS: dict[str, type[AbstractConnection]] = {"redis": _Tcp, "rediss": _Tls, "unix": _Unix}


@dataclass(frozen=True, slots=True)
class Address:
    """A line's name as people may see it, and what must not be seen."""

    shown: str
    secrets: tuple[str, ...] = ()

    def down(self, error: BaseException) -> LineDown:
        """One line: what happened, what to do."""
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        for secret in self.secrets:
            said = said.replace(secret, "***")
        what, remedy = _meaning(error, said)
        return LineDown(f"the line {self.shown} {what} ({said}); {remedy}")


def open_pool(url: str, within: float = ANSWER_WITHIN) -> tuple[ConnectionPool, Address]:
    """url: redis://, rediss:// or unix://; within: seconds for one answer. Connects to nothing yet;
    LineDown for a bad url."""
    try:
        parts = urlsplit(url)
        kind = _CONNECTIONS[parts.scheme]
        pool = ConnectionPool.from_url(url)
        shown = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"
        options = _set_straight(pool, kind, within)
        kind(**options)  # connects to nothing, but refuses an option that there is not
    except (ValueError, KeyError, TypeError, RedisError):  # their texts hold parts of the url
        raise LineDown(
            "REDIS_URL names no line; use redis://, rediss:// or unix://, and write "
            "special characters of a password as %XX"
        ) from None
    secrets = {str(options.get("password") or ""), parts.password or ""}
    secrets |= {unquote(secret) for secret in secrets}
    return pool, Address(shown, tuple(sorted(secrets - {""}, key=len, reverse=True)))


def _set_straight(
    pool: ConnectionPool, kind: type[AbstractConnection], within: float
) -> dict[str, Any]:
    """Our own options in the place of whatever the url says."""
    options = pool.connection_kwargs
    for name in ("retry_on_timeout", "retry_on_error"):
        options.pop(name, None)
    options |= {
        "socket_timeout": within,
        "socket_connect_timeout": min(5.0, within),
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
    }
    if kind is not _Unix:
        options["socket_keepalive"] = True
    pool.connection_class = kind
    return options


def _meaning(error: BaseException, said: str) -> tuple[str, str]:
    for prefix, meaning in _PREFIXES.items():
        if prefix in said.partition(":")[0].split():
            return meaning
    for kinds, what, remedy in _MEANINGS:
        if isinstance(error, kinds):
            return what, remedy
    return "refuses a command", "see its log"
