"""The little HTTP of a worker: what it answers, and what it does not put up with."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress

import aiohttp
import pytest

from botrix.worker.parts import cancelled
from botrix.worker.responder import Responder
from tests.servers.system import free_port, until


class _Served:
    def __init__(self, within: float = 5.0, again: float = 0.05) -> None:
        self.port = free_port()
        self.asked: list[str] = []
        self.responder = Responder("127.0.0.1", self.port, self._text, within, again)

    def _text(self, accept: str) -> tuple[bytes, str]:
        self.asked.append(accept)
        return b"told 1\n", "text/plain; version=0.0.4"

    async def listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def say(self, request: bytes) -> bytes:
        """All that is answered until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            return await asyncio.wait_for(reader.read(), 10)
        except ConnectionError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def _serving(made: _Served) -> AsyncIterator[_Served]:
    task = asyncio.create_task(made.responder.serve())
    try:
        await until(made.listens, 5, "it listens")
        yield made
    finally:
        await cancelled([task])


async def test_who_scrapes_is_answered() -> None:
    async with _serving(_Served()) as served, aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{served.port}/metrics"
        async with http.get(url, headers={"accept": "text/plain"}) as answer:
            assert (answer.status, await answer.text()) == (200, "told 1\n")
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
        async with http.head(url) as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, "7")
        for _ in range(20):  # one connection each: none is kept
            async with http.get(url) as answer:
                assert answer.status == 200
        assert served.asked[0].strip() == "text/plain"


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /metrics HTTP/1.1", b"200"), (b"GET /metrics?x=1 HTTP/1.0", b"200"),
        (b"GET / HTTP/1.1", b"404"), (b"GET /metrics/x HTTP/1.1", b"404"),
        (b"POST /metrics HTTP/1.1", b"405"), (b"GET /metrics HTTP/2.0", b"400"),
        (b"GET /metrics", b"400"), (b"", b"400"), (b"\xff\xfe\x00", b"400"),
    ],
)  # fmt: skip
async def test_what_else_is_asked(request_line: bytes, status: bytes) -> None:
    async with _serving(_Served()) as served:
        said = await served.say(request_line + b"\r\nHost: a\r\n\r\n")
        assert said.split(b" ")[1] == status
        assert b"\r\nConnection: close\r\n" in said


async def test_several_accept_fields_are_one() -> None:
    async with _serving(_Served()) as served:
        await served.say(b"GET /metrics HTTP/1.1\r\nAccept: a/b;q=1\r\nACCEPT: c/d\r\n\r\n")
        assert [one.strip() for one in served.asked[0].split(",")] == ["a/b;q=1", "c/d"]


async def test_a_head_that_is_too_long_is_not_read() -> None:
    async with _serving(_Served()) as served:
        assert await served.say(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000) == b""
        assert await served.say(b"x" * 10_000_000) == b""
        assert (await served.say(b"GET /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_who_is_slow_is_cut_off_and_keeps_nobody_out() -> None:
    async with _serving(_Served(within=0.5)) as served:
        slow = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(8)]
        for _, writer in slow:
            writer.write(b"GET /met")
        async with asyncio.timeout(10):
            for reader, writer in slow:
                with suppress(ConnectionError):
                    assert await reader.read() == b""
                writer.close()
        assert (await served.say(b"GET /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_who_does_not_read_is_not_waited_for() -> None:
    served = _Served(within=1.0)
    served.responder.text = lambda _: (b"x" * 10_000_000, "text/plain")

    async def open_are(n: int) -> bool:
        return served.responder.open == n

    async with _serving(served):
        with ExitStack() as kept:
            for _ in range(4):
                one = kept.enter_context(socket.create_connection(("127.0.0.1", served.port)))
                one.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            await until(lambda: open_are(4), 5, "all are being answered")
            await until(lambda: open_are(0), 5, "nobody is waited for any more")


async def test_more_connections_than_may_be_are_shut_at_once() -> None:
    async with _serving(_Served(within=30.0)) as served:
        kept = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(8)]

        async def full() -> bool:
            return served.responder.open == 8

        await until(full, 5, "eight are open")
        assert await served.say(b"GET /metrics HTTP/1.1\r\n\r\n") == b""
        for _, writer in kept:
            writer.close()


async def test_a_port_that_is_taken_is_said_once_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    served = _Served(again=0.02)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", served.port))
        taken.listen()
        task = asyncio.create_task(served.responder.serve())

        async def said() -> bool:
            return bool(caplog.records)

        with caplog.at_level(logging.ERROR):
            await until(said, 5, "it says that the port is taken")
            await asyncio.sleep(0.2)  # several tries
    try:
        await until(served.listens, 5, "it listens once the port is free")
    finally:
        await cancelled([task])
    (record,) = caplog.records
    wanted = f"no metrics: 127.0.0.1, port {served.port}: "
    assert record.getMessage().startswith(wanted)
    assert "BOTRIX_METRICS_PORT" in record.getMessage()


async def test_what_fails_while_it_is_gathered_is_an_error_and_no_end() -> None:
    served = _Served()
    async with _serving(served):
        served.responder.text = lambda _: 1 / 0  # type: ignore[assignment,return-value]
        said = await served.say(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 500")
        assert b"division" not in said
