"""Connections to nothing but what `botrix.addresses` lets be called; for whoever calls out by HTTP.

The host of a url is looked up once, all that it leads to is checked, and that answer is used for
every connection until one fails: then it is looked up and checked anew. Each address is checked
once more just before it is connected to, so that no name, redirect or literal goes around it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from botrix.addresses import Target, check_addresses
from botrix.errors import AddressRefused


class PinnedResolver(AbstractResolver):
    """Knows one target. look_up: who is asked; the operating system unless told otherwise."""

    def __init__(self, target: Target, look_up: AbstractResolver | None = None) -> None:
        self._target = target
        self._look_up = look_up or aiohttp.ThreadedResolver()
        self._found: list[ResolveResult] = []
        self._asking = asyncio.Lock()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError, as resolvers do, with the reason as its text."""
        if (host, port) != (self._target.host, self._target.port):
            raise PermissionError(errno.EACCES, "it leads to another host than its url")
        async with self._asking:  # many connections at once cost one look-up
            if not self._found:
                found = await self._look_up.resolve(host, port, family)
                if not found:
                    raise OSError(errno.EADDRNOTAVAIL, f"{host} has no address")
                _allowed(self._target, *(one["host"] for one in found))
                self._found = found
        return list(self._found)

    def forget(self) -> None:
        """After a connection has failed: the host may have moved."""
        self._found = []

    async def close(self) -> None:
        await self._look_up.close()


def connector(
    target: Target, resolver: PinnedResolver, limit: int, tls: ssl.SSLContext | None = None
) -> aiohttp.TCPConnector:
    """limit: connections at once. tls: how servers are verified, unless by the authorities that
    this system trusts. Give the session that uses it `trust_env=False`, or a variable could put a
    proxy in between, and have it follow no redirects."""

    def opened(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = info
        _allowed(target, address[0])
        return socket.socket(family, kind, protocol)

    return aiohttp.TCPConnector(
        limit=limit, resolver=resolver, use_dns_cache=False, socket_factory=opened,
        ssl=tls or True,
    )  # fmt: skip


async def connected(target: Target, resolver: PinnedResolver) -> socket.socket:
    """To the first of the target's addresses that takes it, for protocols that are not HTTP.
    Raises OSError."""
    failed = OSError(errno.EADDRNOTAVAIL, f"{target.host} has no address")
    for found in await resolver.resolve(target.host, target.port):
        try:
            return await _connected(target, found)
        except PermissionError:
            raise
        except OSError as error:
            failed = OSError(error.errno, os.strerror(error.errno or 0))
    resolver.forget()
    raise failed


async def _connected(target: Target, found: ResolveResult) -> socket.socket:
    _allowed(target, found["host"])
    made = socket.socket(found["family"], socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        address = (found["host"], target.port)
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


def _allowed(target: Target, *addresses: str) -> None:
    try:
        check_addresses(target, addresses)
    except AddressRefused as refused:
        raise PermissionError(errno.EACCES, str(refused)) from None
