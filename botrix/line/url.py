"""Reads the url of a line.

    unix:///run/valkey/valkey.sock
    redis://[user:password@]host[:port][/db][?options]
    redis+sentinel://[user:password@]host[:port][,host[:port]…]/service[/db][?options]
    redis+cluster://[user:password@]host[:port][,host[:port]…][?options]

With `rediss` in the place of `redis`: TLS, to the Sentinels too. Options are those of redis-py, of
which `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile` (files) are of use, and `sentinel_username`
and `sentinel_password`, which the Sentinels alone are told. Special characters are written %XX.
The form with a service is that of redis-sentinel-url, which others took over (Prefect, RedisVL).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio.connection import parse_url
from redis.exceptions import RedisError

from botrix.errors import LineDown
from botrix.line.address import Address

_SERVER, SENTINEL, CLUSTER = "", "sentinel", "cluster"
_PORTS = {_SERVER: 6379, SENTINEL: 26379, CLUSTER: 6379}
_BAD = (
    "REDIS_URL names no line; use redis://, redis+sentinel://…/SERVICE, redis+cluster:// (or "
    "rediss… for TLS) or unix://, and write special characters of a password as %XX"
)


@dataclass(frozen=True, slots=True)
class LineUrl:
    """What a url says. nodes: the Sentinels, or some nodes of a Cluster; options: keyword arguments
    of a connection to the line, and to a Sentinel."""

    kind: str
    scheme: str
    address: Address
    nodes: tuple[tuple[str, int], ...] = ()
    service: str = ""
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: dict[str, Any] = field(default_factory=dict, repr=False)


def read(url: str) -> LineUrl:
    """Raises LineDown, without any part of the url, where it cannot be used."""
    try:
        return _read(url)
    except (ValueError, KeyError, TypeError, RedisError):  # their texts hold parts of the url
        raise bad_url() from None


def bad_url() -> LineDown:
    """Says which urls there are."""
    return LineDown(_BAD)


def _read(url: str) -> LineUrl:
    name, _, rest = url.partition("://")
    scheme, _, kind = name.lower().partition("+")
    if kind == _SERVER:
        return _one(url, scheme)
    if scheme not in ("redis", "rediss"):
        raise ValueError(scheme)
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    user, _, hosts = authority.rpartition("@")
    nodes = tuple(_node(host, _PORTS[kind]) for host in hosts.split(","))
    service, db = _path(kind, path)
    options, sentinel_options = _options(f"{scheme}://{user}@node/{db}?{query}", kind)
    shown = ",".join(_shown(*node) for node in nodes) + (f" ({service})" if service else "")
    address = Address(shown, _secrets(user, options, sentinel_options))
    return LineUrl(kind, scheme, address, nodes, service, options, sentinel_options)


def _one(url: str, scheme: str) -> LineUrl:
    parts = urlsplit(url)
    options: dict[str, Any] = dict(parse_url(url))
    options.pop("connection_class", None)
    shown = parts.path if scheme == "unix" else f"{parts.hostname}:{parts.port or _PORTS[_SERVER]}"
    address = Address(shown, _secrets(parts.netloc.rpartition("@")[0], options))
    return LineUrl(_SERVER, scheme, address, options=options)


def _node(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.path or parts.username is not None:
        raise ValueError(text)
    return parts.hostname, parts.port or port


def _path(kind: str, path: str) -> tuple[str, str]:
    """The service's name and the number of the database. A Cluster has neither."""
    service, _, db = ("", "", path.strip("/")) if kind == CLUSTER else path.partition("/")
    if (kind == SENTINEL) != bool(service) or db.strip("0123456789"):
        raise ValueError(path)
    if kind == CLUSTER and db.strip("0"):
        raise ValueError(db)
    return unquote(service), db


def _options(url: str, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """For the line, and for its Sentinels; where each is has been read already."""
    options: dict[str, Any] = dict(parse_url(url))
    for name in ("host", "port", "connection_class"):
        options.pop(name, None)
    sentinel = {name: value for name, value in options.items() if name.startswith("ssl_")}
    for name in ("username", "password"):
        value = options.pop(f"sentinel_{name}", None) if kind == SENTINEL else None
        sentinel |= {name: value} if value else {}
    return options, sentinel


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _secrets(user: str, *options: dict[str, Any]) -> tuple[str, ...]:
    """As they are and as the url spells them, the longest first."""
    found = {user.partition(":")[2]}
    found |= {
        str(some.get(name) or "") for some in options for name in ("password", "ssl_password")
    }
    found |= {unquote(secret) for secret in found}
    return tuple(sorted(found - {""}, key=len, reverse=True))
