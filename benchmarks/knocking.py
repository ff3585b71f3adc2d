"""A client that costs little, so that the server is what is measured: `python -m
benchmarks.knocking PORT PATH BODY KEY CONNECTIONS REQUESTS` sends the body that often, each
connection one after another, and prints requests a second and milliseconds at p50 and p99."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import cast

import uvloop

_WITHIN = 60.0


class Caller(asyncio.Protocol):
    """One connection. numbers: one is taken for each request, until there are none."""

    def __init__(self, text: bytes, numbers: Iterator[int], took: list[float]) -> None:
        self._text = text
        self._numbers = numbers
        self._took = took
        self._got = b""
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its type
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        if not head.startswith(b"HTTP/1.1 202"):
            self._fail(self._got.decode("latin-1"))
            return
        self._took.append(time.perf_counter() - self._sent)
        self._got = b""
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._fail(f"the connection was closed ({exc})")

    def _ask(self) -> None:
        if next(self._numbers, None) is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(self._text)

    def _fail(self, why: str) -> None:
        self.done.set_exception(RuntimeError(why))
        self._transport.close()


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])


def request(port: int, path: str, body: str, key: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1", f"host: 127.0.0.1:{port}", "content-type: application/json",
        f"content-length: {len(body)}", *([f"authorization: Bearer {key}"] if key else []),
    ]  # fmt: skip
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()


async def knock(port: int, text: bytes, connections: int, requests: int) -> tuple[float, ...]:
    """Requests a second, and milliseconds: p50, p99."""
    loop, took = asyncio.get_running_loop(), list[float]()
    numbers = iter(range(requests))
    began = time.perf_counter()
    callers = [
        (await loop.create_connection(lambda: Caller(text, numbers, took), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.wait_for(asyncio.gather(*(caller.done for caller in callers)), _WITHIN)
    rate = requests / (time.perf_counter() - began)
    took.sort()
    return rate, took[requests // 2] * 1e3, took[int(requests * 0.99)] * 1e3


def main() -> None:
    port, path, body, key, connections, requests = sys.argv[1:]
    text = request(int(port), path, body, key)
    answers = knock(int(port), text, int(connections), int(requests))
    print(json.dumps(uvloop.run(answers)))


if __name__ == "__main__":
    main()
