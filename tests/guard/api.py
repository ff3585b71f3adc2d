"""What a request costs the API, as it is served: `botrix serve` runs in the main thread, whoever
asks in another, one request at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

from botrix import lag
from botrix.api.app import serve
from botrix.settings import Settings
from tests.guard import postgres, sqlite
from tests.guard.calls import Calls
from tests.guard.ledger import Counts, Meter
from tests.guard.line import Watched, watched
from tests.guard.several import least
from tests.guard.still import step
from tests.guard.worker import add_directory
from tests.servers.system import free_port

_REQUESTS = 7
_WARM = 2
_QUIET = 0.02
_WITHIN = 40.0


def on_sqlite(folder: Path, path: Path) -> Counts:
    ledger = sqlite.Watched(path)

    async def meter() -> Counter[str]:
        return ledger.seen()

    return _Asked(folder, f"sqlite:///{path}", meter).all()


def on_postgres(folder: Path, url: str) -> Counts:
    ledger = postgres.Watched(url)
    return _Asked(folder, ledger.url, ledger.seen).all()


class _Asked:
    def __init__(self, folder: Path, url: str, of_ledger: Meter) -> None:
        self._folder = folder
        self._url = url
        self._of_ledger = of_ledger
        self._calls = Calls()
        self._settings: Settings | None = None
        self._known = threading.Event()
        self._counts: Counts = {}

    def all(self) -> Counts:
        """Returns once the API has ended."""
        asking = threading.Thread(target=lambda: asyncio.run(self._ask()), name="asking")
        asking.start()  # before calls are counted in threads that begin
        self._known.wait(_WITHIN)
        assert self._settings is not None, "the line did not start"
        lag._EVERY = 3600.0  # else it wakes in the middle of a request
        self._calls.begin()
        with contextlib.suppress(KeyboardInterrupt):
            serve(self._settings)
        asking.join()
        return self._counts

    async def _ask(self) -> None:
        """Ends the API when it is done, however that came."""
        async with watched(self._folder) as line:
            port = free_port()
            self._settings = Settings.read(
                {}, data=self._folder, ledger_url=self._url, redis_url=line.url, port=port
            )
            await add_directory(self._url)
            self._known.set()
            try:
                with _connected(port) as client:
                    self._counts = await self._all(client, line)
            finally:
                os.kill(os.getpid(), signal.SIGINT)

    async def _all(self, client: socket.socket, line: Watched) -> Counts:
        body = json.dumps({"count": 1, "directory": "noop"}).encode()
        post = _request("POST /api/accounts/generate", body)
        job = json.loads(_answer(client, post))["id"]
        asked = {
            "POST /api/accounts/generate": post,
            "GET /api/jobs/{id}": _request(f"GET /api/jobs/{job}"),
            "GET /api/jobs": _request("GET /api/jobs?limit=10"),
            "GET /api/accounts": _request("GET /api/accounts?limit=10"),
        }
        return {what: await self._one(client, line, request) for what, request in asked.items()}

    async def _one(self, client: socket.socket, line: Watched, request: bytes) -> dict[str, float]:
        seen = []
        for _ in range(_WARM + _REQUESTS):
            before = await self._meter(line)
            step()
            with self._calls.counted():
                _answer(client, request)
                self._until_quiet()
            seen.append((await self._meter(line)) - before)
        return least(seen[_WARM:])

    def _until_quiet(self) -> None:
        """The API goes on for a moment when it has answered."""
        last: Counter[str] = Counter()
        while (now := self._calls.seen()) != last:
            last = now
            time.sleep(_QUIET)

    async def _meter(self, line: Watched) -> Counter[str]:
        of_line = {f"line: {what}": n for what, n in (await line.seen()).items()}
        return Counter({**await self._of_ledger(), **of_line, **self._calls.seen()})


def _connected(port: int) -> socket.socket:
    """Once the API listens."""
    for _ in range(int(_WITHIN / 0.05)):
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), timeout=_WITHIN)
        time.sleep(0.05)
    raise RuntimeError("the API did not start")


def _request(line: str, body: bytes = b"") -> bytes:
    head = [f"{line} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    head += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


def _answer(client: socket.socket, request: bytes) -> bytes:
    """The body of the answer to one request, which is sent as one piece."""
    client.sendall(request)
    data = b""
    while True:
        more = client.recv(1 << 16)
        data += more
        head, end, body = data.partition(b"\r\n\r\n")
        length = next((n for n in map(_length, head.split(b"\r\n")) if n is not None), None)
        if end and length is not None and len(body) >= length:
            break
        if not more:
            raise RuntimeError(f"the API hung up: {data!r}")
    if not head.startswith(b"HTTP/1.1 20"):
        raise RuntimeError(f"the API refused: {data!r}")
    return body


def _length(header: bytes) -> int | None:
    name, _, value = header.partition(b":")
    return int(value) if name.lower() == b"content-length" else None
