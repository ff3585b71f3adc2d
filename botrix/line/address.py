"""A line's name as people may see it, and what its failures mean for them. No message holds a
password."""

from __future__ import annotations

from dataclasses import dataclass, field

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    SlotNotCoveredError,
)
from redis.exceptions import (
    ConnectionError as NotConnected,
)
from redis.exceptions import (
    TimeoutError as NotInTime,
)

from botrix.errors import LineDown

FAILURES = (RedisError, RedisClusterException, OSError, TimeoutError)
"""Whatever redis-py raises."""
_TLS = {
    "mismatch, certificate is not valid": (
        "has a certificate for another name",
        "let REDIS_URL (for Sentinel and Cluster: what the servers announce) use a name in it",
    ),
    "CERTIFICATE_VERIFY_FAILED": (
        "has a certificate that is not trusted",
        "let ssl_ca_certs in REDIS_URL name the file of its CA",
    ),
    "CERTIFICATE_REQUIRED": (
        "asks for a certificate of the client",
        "let ssl_certfile and ssl_keyfile in REDIS_URL name one",
    ),
    "[SSL": ("does not speak TLS on this port", "use redis:// or the port for TLS in REDIS_URL"),
}
_PREFIXES = {
    "MISCONF": ("cannot write to its disk", "see its log and free space"),
    "WRONGTYPE": ("holds a key of the wrong type", "delete what another program wrote there"),
    "NOAUTH": ("asks for a password", "put it into REDIS_URL"),
    "OOM": ("is out of memory", "raise its maxmemory"),
    "READONLY": ("is a read-only replica", "let REDIS_URL name the primary"),
    "LOADING": ("is still loading its data", "wait until it has"),
    "NOREPLICAS": ("has too few replicas", "start them, or lower its min-replicas-to-write"),
}
_KINDS: list[tuple[tuple[type[BaseException], ...], str, str]] = [
    ((BusyLoadingError,), "is still loading its data", "wait until it has"),
    (
        (AuthenticationError, NoPermissionError),
        "refuses these credentials",
        "correct the user, password or ACL that REDIS_URL names",
    ),
    ((ReadOnlyError,), "is a read-only replica", "let REDIS_URL name the primary"),
    ((OutOfMemoryError,), "is out of memory", "raise its maxmemory"),
    (
        (ClusterDownError, SlotNotCoveredError),
        "is a Cluster with slots that no node serves",
        "see CLUSTER INFO",
    ),
    (
        (MovedError,),
        "keeps its lanes on another node of a Cluster",
        "use redis+cluster:// in REDIS_URL",
    ),
    (
        (MasterNotFoundError,),
        "has no primary that its Sentinels know of",
        "correct the service's name in REDIS_URL, or see SENTINEL MASTERS",
    ),
    (
        (NotConnected, NotInTime, RedisClusterException, OSError, TimeoutError),
        "does not answer",
        "start it, or correct REDIS_URL (rediss:// with TLS, redis:// without)",
    ),
]


@dataclass(frozen=True, slots=True)
class Address:
    """shown: hosts and ports, or a path; secrets: what no message may hold."""

    shown: str
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def down(self, error: BaseException) -> LineDown:
        """One line: what happened, what to do."""
        said = (str(error).splitlines() or [type(error).__name__])[0]
        for secret in self.secrets:
            said = said.replace(secret, "***")
        what, remedy = _meaning(error, said)
        return LineDown(f"the line {self.shown} {what} ({said[:200]}); {remedy}")


def _meaning(error: BaseException, said: str) -> tuple[str, str]:
    for text, meaning in _TLS.items():
        if text in said:
            return meaning
    for prefix, meaning in _PREFIXES.items():
        if prefix in said.partition(":")[0].split():
            return meaning
    for kinds, what, remedy in _KINDS:
        if isinstance(error, kinds):
            return what, remedy
    return "refuses a command", "see its log"
