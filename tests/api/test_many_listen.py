"""Many who listen at once: each event reaches each of them once, whatever becomes of connections
and of the API; and who does not read holds nobody up."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import time

import aiohttp
import pytest

from botrix.line import keys
from botrix.line.line import Line
from botrix.line.shown import Update
from tests.api.listening import listening
from tests.servers.system import System, until

READERS, EVENTS = 200, 5000
_SEED = 20_261_126
_ID = re.compile(rb"^id: (\S+)$", re.MULTILINE)


class _Reader:
    """Comes back with the last id whenever it is cut off, and once by itself."""

    def __init__(self, leaves_after: int) -> None:
        self.ids: list[bytes] = []
        self.last = ""
        self.gaps = self.connections = 0
        self.begun = asyncio.Event()
        self._leaves_after = leaves_after

    async def run(self, http: aiohttp.ClientSession) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                await self._listen(http)
            await asyncio.sleep(0.1)

    async def _listen(self, http: aiohttp.ClientSession) -> None:
        headers = {"Last-Event-ID": self.last} if self.last else {}
        async with http.get("/api/events", headers=headers) as answer:
            self.connections += 1
            rest = b""
            async for some in answer.content.iter_any():
                whole, _, rest = (rest + some).rpartition(b"\n\n")
                self._take(whole)
                if self._leaves_after < len(self.ids):
                    self._leaves_after = 10**9
                    return

    def _take(self, text: bytes) -> None:
        for block in text.split(b"\n\n"):
            found = _ID.search(block)
            self.gaps += block.startswith(b"event: gap")
            if found:
                self.last = found[1].decode()
                self.begun.set()
            if block.startswith(b"event: job"):
                assert found, block
                self.ids.append(found[1])


@pytest.mark.timeout(280)
async def test_none_of_5000_is_lost_or_doubled_for_200(api: System) -> None:
    """Real jobs, a real worker; the API is killed in the middle, and each leaves once by itself."""
    rng = random.Random(_SEED)
    jobs = EVENTS // 3 + 1
    await api.generate(1, directory="sim")  # so that there is a place to stand at
    readers = [_Reader(rng.randrange(EVENTS)) for _ in range(READERS)]
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(api.url, connector=connector, timeout=timeout) as http:
        tasks = [asyncio.create_task(one.run(http)) for one in readers]
        try:
            for one in readers:
                await asyncio.wait_for(one.begun.wait(), 60)
            for n in range(0, jobs, 50):
                await asyncio.gather(*(api.generate(1, directory="sim") for _ in range(50)))
                if n == jobs // 100 * 50:
                    await api.restart_api()
            await api.worker()

            async def half() -> bool:
                return min(len(one.ids) for one in readers) > EVENTS // 2

            await until(half, 120, "half of them")
            await api.restart_api()

            async def done() -> bool:
                query = "SELECT count(*) FROM jobs WHERE status <> 'completed'"
                return api.rows(query) == [(0,)]

            await until(done, 120, "all jobs are completed")
            kept = [ident.encode() for ident, _ in await api.redis.xrange(keys.EVENTS)][1:]
            assert len(kept) >= EVENTS

            async def heard() -> bool:
                return all(one.ids[-1:] == kept[-1:] for one in readers)

            await until(heard, 60, "the last event reached all")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    for one in readers:
        assert one.ids == kept
        assert one.gaps == 0
        assert one.connections >= 2  # some had heard all before the API was killed again


def _told(n: int, size: int = 3000) -> Update:
    event = f'{{"job_id": "j{n}", "status": "running", "directory": "{"x" * size}"}}'
    return Update("default", f"j{n}", "running", None, event)


async def _publish(line: Line, numbers: range) -> None:
    for first in numbers[::500]:
        await line.publish([_told(n) for n in range(first, min(first + 500, numbers.stop))])


async def test_who_does_not_read_is_dropped_and_holds_nobody_up(api: System) -> None:
    """He is told why, and finds the rest when he comes back."""
    line = Line.open(api.settings.redis_url)
    await _publish(line, range(1))
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", api.settings.port))
    slow.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    try:
        async with listening(api) as heard:
            await _publish(line, range(1, 12_000))
            await heard.until(lambda h: len(h.ids()) == 11_999, "all events", within=60)
        slow.setblocking(False)
        said = b""
        async with asyncio.timeout(60):
            while some := await asyncio.get_running_loop().sock_recv(slow, 1 << 20):
                said += some
    finally:
        slow.close()
        await line.close()
    assert b"event: dropped" in said[-1000:]
    seen = _ID.findall(said)
    assert len(seen) < 11_999
    async with listening(api, last=seen[-1].decode()) as again:
        last = (await api.redis.xrevrange(keys.EVENTS, count=1))[0][0]
        await again.until(lambda h: h.ids()[-1:] == [last], "the rest", within=60)
        assert len(again.ids()) == 11_999 - (len(seen) - 1)  # the first is that of `ready`


async def test_who_does_not_read_keeps_no_process_from_ending(api: System) -> None:
    line = Line.open(api.settings.redis_url)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", api.settings.port))
        slow.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with listening(api) as heard:
            await _publish(line, range(3000))
            await heard.until(lambda h: len(h.ids()) == 3000, "all events", within=60)
        began = time.monotonic()
        process = api.supervisor.processes["api"]
        process.terminate()
        await process.wait()
        assert time.monotonic() - began < 6  # of the ten seconds that a slow answer may take
    await line.close()
    await api.supervisor.start_api()
