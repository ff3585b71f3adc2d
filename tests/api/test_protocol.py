"""What HTTP itself may be: how large, how slow, how wrong. Raw sockets on a real API process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from botrix.api.protocol import Protocol
from tests.api.sockets import Line, connected
from tests.servers.system import System, free_port, until

_HOST = b"Host: localhost\r\n"
_GET = b"GET /api/jobs HTTP/1.1\r\n" + _HOST
_POST = b"POST /api/accounts/generate HTTP/1.1\r\n" + _HOST
_KIB = 1024
_CHUNKS = b"Transfer-Encoding: chunked\r\n"
_TWO = b"Content-Length: 2\r\n"


@pytest_asyncio.fixture
async def api(folder: Path) -> AsyncIterator[System]:
    """Of whatever a test did to it, it answers afterwards."""
    system = System(folder / "data", log=folder / "log")
    try:
        await system.start()
        yield system
        assert await system.answers("/api/jobs")
        assert '"level": "error"' not in (folder / "log").read_text()
    finally:
        await system.stop()


def _header(size: int) -> bytes:
    return b"X-Long: " + b"a" * size + b"\r\n"


_REFUSED: list[tuple[str, list[bytes], int]] = [
    ("one header", [_GET + _header(17 * _KIB) + b"\r\n"], 431),
    ("many headers", [_GET + b"A: b\r\n" * 3000 + b"\r\n"], 431),
    ("a header without end", [_GET + b"X-Long: " + b"a" * 17 * _KIB], 431),
    ("a header in pieces", [_GET, b"X-Long: ", *[b"a" * _KIB] * 17], 431),
    ("much more than one read", [_GET + _header(3 * _KIB * _KIB) + b"\r\n"], 431),
    ("a request line", [b"GET /api/jobs?" + b"a" * 17 * _KIB + b" HTTP/1.1\r\n" + _HOST], 431),
    ("trailers", [_POST + _CHUNKS + b"\r\n0\r\n", b"A: b\r\n" * 3000], 431),
    ("a length of two", [_POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"], 400),
    ("a length of words", [_POST + b"Content-Length: two\r\n\r\n{}"], 400),
    ("a length below zero", [_POST + b"Content-Length: -2\r\n\r\n{}"], 400),
    ("a length with a sign", [_POST + b"Content-Length: +2\r\n\r\n{}"], 400),
    ("a length of 128 bits", [_POST + b"Content-Length: " + b"9" * 38 + b"\r\n\r\n{}"], 400),
    ("a length beyond the limit", [_POST + b"Content-Length: 1048577\r\n\r\n"], 413),
    ("a length in an open path", [b"POST /api/sign-in HTTP/1.1\r\n" + _HOST
                                  + b"Content-Length: 1048577\r\n\r\n"], 413),
    ("length and chunks", [_POST + _TWO + _CHUNKS + b"\r\n"], 400),
    ("chunks and length", [_POST + _CHUNKS + _TWO + b"\r\n"], 400),
    ("another encoding", [_POST + b"Transfer-Encoding: gzip\r\n\r\n{}"], 400),
    ("chunks not last", [_POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n"], 400),
    ("a chunk of words", [_POST + _CHUNKS + b"\r\nzz\r\n"], 400),
    ("a chunk too long", [_POST + _CHUNKS + b"\r\n2\r\n{}}\r\n"], 400),
    ("a chunk's remark", [_POST + _CHUNKS + b"\r\n2;", b"a" * _KIB * _KIB], 431),
    ("chunks beyond the limit", [_POST + _CHUNKS + b"\r\n",
                                 *[b"40000\r\n" + b" " * 0x40000 + b"\r\n"] * 5], 413),
    ("a folded header", [_GET + b"A: b\r\n c\r\n\r\n"], 400),
    ("a blank in a name", [_GET + b"A : b\r\n\r\n"], 400),
    ("a bare line feed", [b"GET /api/jobs HTTP/1.1\nHost: localhost\n\n"], 400),
    ("a nul", [_GET + b"A: \0\r\n\r\n"], 400),
    ("no HTTP", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], 400),
    ("a body and Upgrade", [_POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n"
                            b"\r\n", b"{}"], 400),
    ("CONNECT", [b"CONNECT localhost:1 HTTP/1.1\r\n" + _HOST + b"\r\n"], 400),
    ("a path of two bytes", ["GET /å HTTP/1.1\r\n".encode() + _HOST + b"\r\n"], 400),
]  # fmt: skip


async def test_what_is_no_usable_request_is_a_problem(api: System) -> None:
    for what, parts, status in _REFUSED:
        async with connected(api.settings.port) as line:
            await line.send(*parts)
            answer = await line.answer()
            assert answer.status == status, (what, answer)
            assert answer.problem["instance"], what
            if status in {400, 431}:
                assert answer.headers["connection"] == "close", what
                assert await line.closed() == b"", what
    assert api.rows("SELECT count(*) FROM jobs") == [(0,)]


_TAKEN: list[tuple[str, list[bytes], int]] = [
    ("a head of 15 KiB", [_GET + _header(15 * _KIB) + b"\r\n"], 200),
    ("lines before", [b"\r\n\r\n", _GET + b"\r\n"], 200),
    ("a byte at a time", [bytes([one]) for one in _GET + b"\r\n"], 200),
    ("HTTP/1.0", [b"GET /api/jobs HTTP/1.0\r\n" + _HOST + b"\r\n"], 200),
    ("Upgrade", [_GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"], 200),
    ("OPTIONS *", [b"OPTIONS * HTTP/1.1\r\n" + _HOST + b"\r\n"], 404),
    ("OPTIONS", [b"OPTIONS /api/jobs HTTP/1.1\r\n" + _HOST + b"\r\n"], 405),
    ("TRACE", [b"TRACE /api/jobs HTTP/1.1\r\n" + _HOST + b"\r\n"], 405),
    ("no body", [_POST + b"\r\n"], 400),
    ("a body as told", [_POST + b"Content-Length: 11\r\n\r\n", b'{"count":1}'], 202),
    ("chunks", [_POST + _CHUNKS, b'\r\n5\r\n{"cou\r\n', b'6\r\nnt":1}\r\n0\r\n\r\n'], 202),
    ("a trailer", [_POST + _CHUNKS + b"\r\nb\r\n{\"count\":1}\r\n0\r\n"
                   b"Idempotency-Key: x\r\n\r\n"], 202),
    ("Expect", [_POST + b"Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n"], 413),
]  # fmt: skip


async def test_what_is_a_request_is_answered(api: System) -> None:
    for what, parts, status in _TAKEN:
        async with connected(api.settings.port) as line:
            await line.send(*parts)
            assert (await line.answer()).status == status, what
    assert api.rows("SELECT count(*) FROM jobs") == [(3,)]
    assert api.rows("SELECT count(*) FROM idempotency_keys") == [(0,)]  # a trailer is no header


async def test_head_is_get_without_its_body(api: System) -> None:
    """Where a path has no HEAD, the refusal has no body either, and the connection goes on."""
    async with connected(api.settings.port) as line:
        await line.send(_GET.replace(b"GET", b"HEAD") + b"\r\n")
        answer = await line.answer("HEAD")
        assert answer.status in {200, 405}
        await line.send(_GET + b"\r\n")
        assert (await line.answer()).status == 200


async def test_pipelined_requests_are_answered_in_order(api: System) -> None:
    async with connected(api.settings.port) as line:
        paths = [b"/live", b"/nowhere", b"/api/jobs", b"/live"]
        await line.send(
            b"".join(b"GET " + path + b" HTTP/1.1\r\n" + _HOST + b"\r\n" for path in paths)
        )
        assert [(await line.answer()).status for _ in paths] == [200, 404, 200, 200]


async def test_what_follows_a_good_request_never_takes_its_answer(api: System) -> None:
    for bad in (b"GARBAGE\r\n\r\n", _GET + _header(17 * _KIB) + b"\r\n"):
        async with connected(api.settings.port) as line:
            await line.send(_GET + b"\r\n" + bad)
            assert (await line.answer()).status == 200
            await line.closed()


async def test_more_requests_at_once_than_anybody_reads(api: System) -> None:
    """The first ones are answered, the rest must be asked for again."""
    async with connected(api.settings.port) as line:
        await line.send((_GET + b"\r\n") * 10_000)
        said = await line.closed()
    assert 1 <= said.count(b"HTTP/1.1 200") <= 100
    assert said.count(b"HTTP/1.1") == said.count(b"HTTP/1.1 200")


@pytest.mark.parametrize("length", [b"Content-Length: 30\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_no_body_is_taken_for_a_request(api: System, length: bytes) -> None:
    """httptools ends a request that has Upgrade at its head."""
    head = _POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + length + b"\r\n"
    async with connected(api.settings.port) as line:
        await line.send(head)
        await line.send(_POST + b"Content-Length: 11\r\n\r\n" + b'{"count":1}')
        assert (await line.answer()).status == 400
        assert await line.closed() == b""
    assert api.rows("SELECT count(*) FROM jobs") == [(0,)]


async def test_a_head_must_come_within_ten_seconds(api: System) -> None:
    """Also where it comes byte by byte, or is nothing but line breaks."""
    port, began = api.settings.port, time.monotonic()

    async def slow(first: bytes, drip: bytes = b"") -> bytes:
        async with connected(port) as line:
            await line.send(first)
            ending = asyncio.create_task(line.closed())
            while not ending.done():
                await line.send(drip)
                await asyncio.wait([ending], timeout=0.5)
            return await ending

    said = await asyncio.gather(
        slow(b""),
        slow(_GET),
        slow(_GET + b"X-Slow: ", b"a"),
        slow(_GET, b"A: b\r\n"),
        slow(b"\r\n", b"\r\n"),
        slow(b"G"),
    )
    assert 9 < time.monotonic() - began < 20
    assert [text.partition(b"\r\n")[0][9:12] for text in said] == [
        b"", b"408", b"408", b"408", b"", b"408",
    ]  # fmt: skip


async def test_a_connection_is_kept_for_longer_than_clients_keep_it(api: System) -> None:
    """At 5 s, which is usual, a request that comes just then would be lost."""
    async with connected(api.settings.port) as line:
        await line.send(_GET + b"\r\n")
        await line.answer()
        with pytest.raises(TimeoutError):
            await line.closed(within=6)
        await line.send(_GET + b"\r\n")
        await line.answer()


class _Impatient(Protocol):
    body_within = 0.5
    rest_within = 0.5
    read_within = 0.5
    body_rate = 1024 * 1024


async def _toy(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads all, refuses at once, or says much."""
    assert scope["type"] == "http"
    if scope["path"] == "/refuse":
        await JSONResponse({}, 403)(scope, receive, send)
    elif scope["path"] == "/much":
        much = (b"a" * 65536 for _ in range(10_000))
        await StreamingResponse(much)(scope, receive, send)
    else:
        try:
            size = sum([len(part) async for part in Request(scope, receive).stream()])
        except ClientDisconnect:
            size = -1
        await JSONResponse({"size": size})(scope, receive, send)


@asynccontextmanager
async def _toy_api() -> AsyncIterator[tuple[int, uvicorn.Server]]:
    config = uvicorn.Config(
        _toy, port=free_port(), http=_Impatient, ws="none", lifespan="off", log_config=None,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())

    async def started() -> bool:
        return server.started

    await until(started, 10, "the server listens")
    try:
        yield config.port, server
    finally:
        server.should_exit = True
        await running


async def _drip(line: Line, drip: bytes) -> bytes:
    ending = asyncio.create_task(line.closed(10))
    while not ending.done():
        await line.send(drip)
        await asyncio.wait([ending], timeout=0.05)
    return await ending


async def test_a_body_that_never_ends_is_ended() -> None:
    async with _toy_api() as (port, _):
        for head, drip in (
            (b"Content-Length: 999999\r\n\r\n", b""),
            (b"Content-Length: 999999\r\n\r\n", b"a"),
            (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
            (b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
        ):
            async with connected(port) as line:
                await line.send(b"POST /read HTTP/1.1\r\n" + _HOST + head)
                said = await _drip(line, drip)
                assert said.startswith(b"HTTP/1.1 408"), (head, drip)
                assert said.count(b"HTTP/1.1") == 1
                assert json.loads(said.partition(b"\r\n\r\n")[2])["title"] == "Too slow"


async def test_a_body_that_keeps_coming_may_take_longer() -> None:
    async with _toy_api() as (port, _), connected(port) as line:
        await line.send(b"POST /read HTTP/1.1\r\n" + _HOST + b"Content-Length: 4194304\r\n\r\n")
        for _ in range(16):
            await line.send(b"a" * 262_144)
            await asyncio.sleep(0.1)  # what is tried is a body that takes its time
        assert json.loads((await line.answer()).body) == {"size": 4_194_304}


async def test_a_body_that_nobody_wants_is_ended_too() -> None:
    async with _toy_api() as (port, _), connected(port) as line:
        await line.send(b"POST /refuse HTTP/1.1\r\n" + _HOST + b"Content-Length: 999999999\r\n\r\n")
        assert (await line.answer()).status == 403
        assert await _drip(line, b"a" * 1024) == b""


async def test_who_does_not_read_the_answer_is_hung_up_on() -> None:
    async with _toy_api() as (port, server), connected(port) as line:
        await line.send(b"GET /much HTTP/1.1\r\n" + _HOST + b"\r\n")

        async def gone() -> bool:
            return not server.server_state.connections

        await until(lambda: _any(server), 5, "the connection is there")
        await until(gone, 10, "the connection is closed")


async def _any(server: uvicorn.Server) -> bool:
    return bool(server.server_state.connections)
