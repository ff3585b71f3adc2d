"""Hostile bytes for the API's socket: what no client library would send.

Some of it holds a good request for one account, which may or may not be accepted; each such request
has an Idempotency-Key, so that whoever sent it can ask again what became of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
from collections.abc import Callable
from typing import Any

_GENERATE = "/api/accounts/generate"
_STATUS = re.compile(rb"^HTTP/1\.[01] (\d{3})", re.MULTILINE)
_PATIENCE = 0.4
"""Seconds that an answer is waited for; a server may well wait for more of a request."""
_Make = Callable[[random.Random], list[bytes]]


def junk(rng: random.Random) -> list[bytes]:
    """Parts of what is sent in one connection, with a little time between them."""
    return _JUNK[rng.randrange(len(_JUNK))](rng)


def with_a_good_request(rng: random.Random, key: str, body: dict[str, Any]) -> list[bytes]:
    """That, and something that is not good."""
    good = _request("POST", _GENERATE, json.dumps(body).encode(), f"Idempotency-Key: {key}")
    kinds = (
        [good[n : n + 40] for n in range(0, len(good), 40)],
        [good, rng.randbytes(200)],
        [good * 3],
        [good, _request("GET", "/health", b"")[:-7]],
        [good[:-1]],
        [good, b"0\r\n\r\n", good[: len(good) // 2]],
        [good.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), good],
        [good.replace(b"Content-Length: ", b"Content-Length:   0")],
    )
    return rng.choice(kinds)


async def told(port: int, parts: list[bytes]) -> tuple[list[int], bytes]:
    """The statuses that came back, and all of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    with contextlib.suppress(OSError, TimeoutError):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.002)
        while data := await asyncio.wait_for(reader.read(1 << 16), _PATIENCE):
            got += data
    writer.transport.abort()
    return [int(status) for status in _STATUS.findall(got)], got


def _request(method: str, path: str, body: bytes, *headers: str, host: str = "localhost") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _chunked(*chunks: bytes) -> _Make:
    head = _request("POST", _GENERATE, b"", "Transfer-Encoding: chunked")
    return lambda _: [head, *chunks]


def _lengths(*values: str) -> _Make:
    def made(rng: random.Random) -> list[bytes]:
        headers = [f"Content-Length: {value}" for value in values]
        return [_request("POST", rng.choice(_TAKING), b"", *headers) + b'{"count": 1, "x']

    return made


def _body(make: Callable[[random.Random], bytes]) -> _Make:
    return lambda rng: [_request("POST", rng.choice(_TAKING), make(rng))]


def _line(make: Callable[[random.Random], str], *headers: str) -> _Make:
    lines = [b"Host: localhost", *(header.encode("latin-1") for header in headers), b"", b""]
    return lambda rng: [b"\r\n".join([make(rng).encode(), *lines])]


def _header(make: Callable[[random.Random], str]) -> _Make:
    return lambda rng: [_request("GET", rng.choice(_READING), b"", make(rng))]


_TAKING = (_GENERATE, "/api/accounts/import", "/api/accounts/import?strict=1&directory=void")
_READING = ("/health", "/api/jobs", "/api/accounts?limit=1", "/openapi.json", "/api/line")
_WRONG = {"count": 0, "directory": "void"}
_JUNK: tuple[_Make, ...] = (
    lambda rng: [rng.randbytes(rng.randint(1, 4000))],
    lambda rng: [_request("POST", _GENERATE, json.dumps(_WRONG).encode())[: rng.randint(1, 150)]],
    lambda rng: [b"\x16\x03\x01" + rng.randbytes(200)],
    lambda _: [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    lambda _: [b"GET / HTTP/1.1\r\n\r\n" * 50],
    lambda rng: [b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * rng.randint(1, 5000)],
    _chunked(b"ZZ\r\n{}\r\n0\r\n\r\n"),
    _chunked(b"5\r\n{}\r\n0\r\n\r\n"),
    _chunked(b"-1\r\n\r\n"),
    _chunked(b"ffffffffffffffffff\r\n{}"),
    _chunked(b"2\r\n{}\r\n", b"2;" + b"x" * 70_000 + b"\r\n{}\r\n0\r\n\r\n"),
    _chunked(b"2\r\n{}\r\n0\r\nTrailer: \xff\r\n\r\n"),
    _lengths("9999"), _lengths("-5"), _lengths("abc"), _lengths("1" * 400), _lengths("+5"),
    _lengths("5", "6"), _lengths("1_0"), _lengths("5, 5"), _lengths("0x10"), _lengths(""),
    _body(lambda rng: b"[" * rng.randint(1, 200_000)),
    _body(lambda rng: b'{"count":' + b"9" * rng.choice((400, 5000, 900_000)) + b"}"),
    _body(lambda rng: rng.choice((b'{"count":NaN}', b'{"count":1e999}', b'{"count":true}'))),
    _body(lambda _: b'{"count":1,"count":2}'),
    _body(lambda _: b'{"count":1,"template":"\\ud800{index}"}'),
    _body(lambda _: b'{"count":1,"directory":"\\u0000"}'),
    _body(lambda _: b'{"count":1,"template":"\\u0000"}'),
    _body(lambda rng: rng.randbytes(rng.randint(1, 3000))),
    _body(lambda _: b"x" * ((1 << 20) + 10)),
    _body(lambda _: b"\xef\xbb\xbf{}"),
    _line(lambda rng: f"GET /{'a' * rng.choice((5_000, 70_000, 500_000))} HTTP/1.1"),
    _line(lambda rng: f"GET /api/jobs/{rng.choice(('%00', '%ff%fe', '..%2f..', '%', '%zz'))}"
                      " HTTP/1.1"),
    _line(lambda rng: f"GET /api/jobs?{rng.choice(('limit=1e9', 'limit=%00', 'cursor=%00'))}"
                      " HTTP/1.1"),
    _line(lambda rng: f"GET /api/jobs?cursor={rng.getrandbits(200)}%3Ax HTTP/1.1"),
    _line(lambda _: "GET /api/accounts?username=%00&status=created HTTP/1.1"),
    _line(lambda _: "GET /api/jobs/x/rows?cursor=99999999999999999999999 HTTP/1.1"),
    _line(lambda rng: f"{rng.choice(('BREW', 'TRACE', 'CONNECT', 'PUT', 'post', 'HEAD'))}"
                      " /api/jobs HTTP/1.1"),
    _line(lambda _: "OPTIONS * HTTP/1.1"),
    _line(lambda _: "GET http://elsewhere.example/ HTTP/1.1"),
    _line(lambda rng: f"GET /health HTTP/{rng.choice(('0.9', '1.0', '3.7', '11', 'x'))}"),
    _line(lambda _: "GET /health HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade",
          "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x"),
    _line(lambda _: "GET /health HTTP/1.1", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"),
    _line(lambda _: "POST /api/accounts/generate HTTP/1.1", "Expect: 100-continue",
          "Content-Length: 10"),
    _header(lambda rng: f"X: {'y' * rng.choice((8_000, 70_000, 400_000))}"),
    _header(lambda _: "Host: evil.example"),
    _header(lambda _: "Origin: null"),
    _header(lambda _: "Origin: http://[::1"),
    _header(lambda _: "Accept: \xff\xfe"),
    _header(lambda _: "Idempotency-Key: \x00\xff"),
    lambda _: [_request("GET", "/health", b"", host="[::1")],
    lambda _: [_request("GET", "/health", b"", host="local host:x")],
    lambda _: [_request("GET", "/health", b"", host="localhost:99999999999")],
    lambda _: [_request("GET", "/health", b"", host="")],
    lambda _: [_request("GET", "/health", b"", host="[127.0.0.1]")],
    lambda rng: [_request("POST", "/api/jobs/%00/cancel", b"{}", f"Idempotency-Key: {'k' * 300}")],
    lambda rng: [_request("POST", _GENERATE, b'{"count":0}', "Content-Encoding: gzip")],
)  # fmt: skip
KINDS = len(_JUNK)
