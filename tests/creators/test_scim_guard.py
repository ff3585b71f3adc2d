"""What a `scim` directory connects to: only what was checked, and never for longer or for more."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
import zlib
from collections.abc import AsyncIterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from botrix import guard
from botrix.addresses import Reach, check_url
from botrix.creators.gate import Gate
from botrix.creators.web.authorization import Fixed
from botrix.creators.web.http import Http
from botrix.creators.web.settings import WebSettings
from botrix.guard import PinnedResolver
from tests.creators.conftest import opened
from tests.creators.test_scim_faults import once
from tests.servers.raw import raw_server, saying
from tests.servers.scim import SimulatedDirectory
from tests.servers.system import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/scim+json\r\n"
EMPTY = b'{"totalResults": 0}'
LISTED = OK + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(EMPTY), EMPTY)


class Names(AbstractResolver):
    """A resolver that answers each look-up with the next of these; the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked += 1
        await asyncio.sleep(0)
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(
                hostname=host, host=one, port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
            )
            for one in found
        ]  # fmt: skip

    async def close(self) -> None:
        pass


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses of which a socket was made, which is refused: nothing leaves this machine."""
    tried: list[str] = []
    allowed = guard._allowed

    def noted(target: Any, *addresses: str) -> None:
        allowed(target, *addresses)
        if len(addresses) == 1:
            tried.extend(addresses)

    def no_socket(*_: object) -> socket.socket:
        raise OSError(101, "no way out of this test")

    monkeypatch.setattr(guard, "_allowed", noted)
    monkeypatch.setattr(guard, "socket", SimpleNamespace(socket=no_socket))
    return tried


def asking(url: str, names: Names) -> Http:
    target = check_url(url, Reach(allow_http=True))
    return Http(WebSettings(url, target, Fixed("Bearer t")), 2.0, Gate(), look_up=names)


async def test_a_name_that_is_rebound_is_refused(connected: list[str]) -> None:
    """First a public address, then that of a metadata service."""
    names = Names(["8.8.8.8", "8.8.4.4"], ["169.254.169.254"])
    http = asking("http://idp.example", names)
    first = await http.ask("GET", "/Users")
    assert "no way out" in first.problem
    second = await http.ask("GET", "/Users")
    await http.close()
    assert (second.sent, names.asked) == (False, 2)
    assert "169.254.169.254" in second.problem
    assert "169.254.169.254" not in connected


@pytest.mark.parametrize(
    "found",
    [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["127.0.0.1"], ["::ffff:7f00:1"], ["fe80::1"], []],
)
async def test_a_name_that_leads_elsewhere_is_not_connected_to(
    connected: list[str], found: list[str]
) -> None:
    http = asking("http://idp.example", Names(found))
    answer = await http.ask("GET", "/Users")
    await http.close()
    assert not answer.sent
    assert connected == []


async def test_a_literal_is_checked_where_it_is_connected_to(connected: list[str]) -> None:
    """Resolvers are not asked for those."""
    target = check_url("http://idp.example", Reach(allow_http=True))
    connector = guard.connector(target, PinnedResolver(target, Names(["8.8.8.8"])), 1)
    async with aiohttp.ClientSession(connector=connector) as session:
        for literal in ("169.254.169.254", "127.0.0.1", "[::1]", "[::ffff:a00:1]"):
            with pytest.raises(aiohttp.ClientConnectorError, match=r"169|localhost|special"):
                await session.get(f"http://{literal}/")
    assert connected == []


async def test_what_was_found_is_kept_until_a_connection_fails() -> None:
    async with raw_server(saying(LISTED)) as server:
        names = Names(["127.0.0.1"], ["127.0.0.1"])
        http = asking(f"http://localhost:{server.port}", names)
        for _ in range(5):
            assert (await http.ask("GET", "/Users")).status == 200
        assert (len(server.asked), names.asked) == (5, 1)
    gone = await http.ask("GET", "/Users")
    assert not gone.sent
    assert names.asked == 1
    await http.ask("GET", "/Users")
    assert names.asked == 2
    await http.close()


async def test_many_at_once_look_up_once() -> None:
    async with raw_server(saying(LISTED)) as server:
        names = Names(["127.0.0.1"])
        http = asking(f"http://localhost:{server.port}", names)
        answers = await asyncio.gather(*(http.ask("GET", "/Users") for _ in range(8)))
        await http.close()
    assert {answer.status for answer in answers} == {200}
    assert names.asked == 1


async def test_the_resolver_knows_its_own_host_alone() -> None:
    resolver = PinnedResolver(check_url("https://idp.example", Reach()), Names(["8.8.8.8"]))
    for host, port in (("evil.example", 443), ("idp.example", 22)):
        with pytest.raises(PermissionError):
            await resolver.resolve(host, port)


@pytest.mark.parametrize("place", ["http://169.254.169.254/latest/meta-data/", "same", "file:///x"])
async def test_no_redirect_is_followed(token_file: str, place: str) -> None:
    async with raw_server(saying(LISTED)) as elsewhere:
        location = (elsewhere.url if place == "same" else place).encode()
        moved = b"HTTP/1.1 307 Elsewhere\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location
        async with (
            raw_server(saying(moved)) as server,
            opened("scim", {"url": server.url, "token_file": token_file}) as creator,
        ):
            check = await creator.check()
        assert not check.usable
        assert "HTTP 307" in check.problem
        assert len(server.asked) == 2
        assert elsewhere.asked == []


async def test_variables_put_no_proxy_in_between(
    directory: SimulatedDirectory, token_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with raw_server(
        saying(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
    ) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with opened("scim", {"url": directory.url, "token_file": token_file}) as creator:
            assert (await creator.check()).usable
        away = {"url": f"https://localhost:{free_port()}", "token_file": token_file}
        async with opened("scim", away) as creator:
            assert not (await creator.check()).usable
    assert proxy.asked == []


async def _endless() -> AsyncIterator[bytes]:
    yield OK + b"Transfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"10000\r\n" + b" " * 65536 + b"\r\n"


async def _endless_head() -> AsyncIterator[bytes]:
    yield OK
    n = 0
    while True:
        n += 1
        yield b"X-%d: %s\r\n" % (n, b"x" * 4000)


async def _dripping() -> AsyncIterator[bytes]:
    yield OK + b"Content-Length: 100000\r\n\r\n"
    while True:
        yield b" "
        await asyncio.sleep(0.02)


async def _dripping_head() -> AsyncIterator[bytes]:
    yield OK
    while True:
        yield b"X: y\r\n"
        await asyncio.sleep(0.02)


@cache
def _packed() -> bytes:
    """A quarter of a MiB; 256 MiB once unpacked."""
    packing = zlib.compressobj(wbits=31)
    return b"".join(packing.compress(b" " * (1 << 20)) for _ in range(256)) + packing.flush()


async def _bomb() -> AsyncIterator[bytes]:
    yield OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(_packed()) + _packed()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (_endless, "larger than 1 MiB"),
        (_bomb, "larger than 1 MiB"),
        (_endless_head, ""),
        (_dripping, "no answer in time"),
        (_dripping_head, "no answer in time"),
    ],
)
async def test_no_answer_takes_longer_or_more_than_it_may(
    token_file: str, answer: Any, told: str
) -> None:
    _packed()  # takes a time of its own
    async with raw_server(answer) as server:
        config = {"url": server.url, "token_file": token_file}
        async with opened("scim", config, timeout=2.0) as creator:
            before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
            outcome = await once(creator)
    assert time.monotonic() - began < 12  # a create, a probe and a look, two seconds each
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert told in (outcome.detail or "")
