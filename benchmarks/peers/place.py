"""Where one peer is measured once: brokers of its own, a hand that puts jobs in, a worker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import psutil
import redis

from benchmarks.peers.peer import PROGRAMS, Peer
from botrix.line.server import LineServer
from tests.servers.postgres import PostgresServer

_ANSWERS_WITHIN = 300.0
_ROOT = PROGRAMS.parents[2]


@dataclass(frozen=True)
class Broker:
    """queue: the database, where that is the queue; database: any that is used; pids: of the
    servers, each with its children."""

    socket: Path
    queue: str | None
    database: str | None
    pids: tuple[int, ...]

    def cpu(self) -> float:
        return sum(cpu_of(pid) for pid in self.pids)

    async def bytes(self) -> int:
        """Memory that the line uses, or the size of the database where that is the queue."""
        if self.queue is None:
            with redis.Redis(unix_socket_path=str(self.socket)) as client:
                return int(client.info("memory")["used_memory"])
        db = await asyncpg.connect(self.queue)
        try:
            return int(await db.fetchval("SELECT pg_database_size(current_database())"))
        finally:
            await db.close()

    async def settled(self) -> None:
        """PostgreSQL writes now what it owes, and knows what its tables hold."""
        if self.database is not None:
            db = await asyncpg.connect(self.database)
            try:
                await db.execute("ANALYZE")
                await db.execute("CHECKPOINT")
            finally:
                await db.close()


class Place:
    """Programs of the peer are started here and ended by their process groups."""

    def __init__(self, peer: Peer, folder: Path, broker: Broker, environ: dict[str, str]) -> None:
        self.peer = peer
        self.broker = broker
        self._tally = folder / "tally"
        self._log = folder / "log"
        self._environ = environ | {"BENCH_TALLY": str(self._tally)}
        self._hand: Process | None = None
        self._started: list[Process] = []

    async def tell(self, *words: object) -> dict[str, Any]:
        """What the hand answers to a line; see programs/hand.py."""
        if self._hand is None:
            self._hand = await self._start(self.peer.hand_command, {}, stdin=PIPE, stdout=PIPE)
            await self._answer()
        assert self._hand.stdin is not None
        self._hand.stdin.write((" ".join(str(word) for word in words) + "\n").encode())
        return await self._answer()

    async def _answer(self) -> dict[str, Any]:
        assert self._hand is not None
        assert self._hand.stdout is not None
        line = await asyncio.wait_for(self._hand.stdout.readline(), _ANSWERS_WITHIN)
        if not line:
            raise RuntimeError(f"{self.peer.title} ended: {self._last_words()}")
        return dict(json.loads(line))

    async def worker(self, **environ: object) -> Process:
        told = {name: str(value) for name, value in environ.items()}
        return await self._start(self.peer.worker_command, told, stdin=DEVNULL, stdout=None)

    async def _start(
        self, command: list[str], environ: dict[str, str], *, stdin: int, stdout: int | None
    ) -> Process:
        with self._log.open("ab") as log:
            started = await asyncio.create_subprocess_exec(
                *command, cwd=PROGRAMS, stdin=stdin, stdout=log if stdout is None else stdout,
                stderr=log, env={**os.environ, **self._environ, **environ}, start_new_session=True,
            )  # fmt: skip
        self._started.append(started)
        return started

    def notes(self) -> list[tuple[str, float]]:
        """What the jobs told: number, or how many there had been, and when."""
        if not self._tally.exists():
            return []
        whole = self._tally.read_text().rpartition("\n")[0]
        return [(n, float(at)) for n, at in (line.split() for line in whole.splitlines())]

    async def noted(self, n: int, within: float) -> list[tuple[str, float]]:
        """The notes, once there are n; asks a file, so that nobody who is measured is disturbed."""
        deadline = time.monotonic() + within
        while len(notes := self.notes()) < n:
            if time.monotonic() > deadline or self._started[-1].returncode is not None:
                said = self._last_words()
                raise RuntimeError(f"{self.peer.title}: {len(notes)} of {n} notes: {said}")
            await asyncio.sleep(0.005)
        return notes

    async def settled(self, within: float) -> float | None:
        """When nothing was left to do; None where that did not come in time."""
        deadline = time.monotonic() + within
        while (await self.tell("left"))["told"]:
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(0.005)
        return time.monotonic()

    def _last_words(self) -> str:
        said = self._log.read_text(errors="replace").strip() if self._log.exists() else ""
        return said[-2000:] or "it said nothing"

    async def close(self) -> None:
        for process in self._started:
            await kill(process)


async def kill(process: Process) -> None:
    """It and all that it started, at once."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def family(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_of(pid: int) -> float:
    """Seconds of a process, of those it started and of those of them that have ended."""
    spent = 0.0
    for one in family(pid):
        try:
            spent += sum(one.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return spent


@asynccontextmanager
async def place(
    peer: Peer, postgres: PostgresServer | None, **environ: object
) -> AsyncIterator[Place]:
    """Fresh: an empty line, and an empty database of the server where the peer wants one."""
    with TemporaryDirectory(prefix="bx-peer-") as name:
        folder = Path(name)
        server = LineServer(folder, folder / "line.sock")
        await server.start()
        try:
            broker, told = await _broker(peer, postgres, server, folder)
            told |= {key: str(value) for key, value in environ.items()}
            made = Place(peer, folder, broker, peer.environ | told)
            try:
                yield made
            finally:
                await made.close()
        finally:
            await server.stop()


async def _broker(
    peer: Peer, postgres: PostgresServer | None, server: LineServer, folder: Path
) -> tuple[Broker, dict[str, str]]:
    socket = folder / "line.sock"
    assert server.pid is not None
    told = {"BENCH_BROKER": str(socket), "BOTRIX_DATA": str(folder), "REDIS_URL": server.url}
    told |= {"BOTRIX_LOG_LEVEL": "WARNING", "PYTHONPATH": f"{PROGRAMS}{os.pathsep}{_ROOT}"}
    if peer.store == "line":
        return Broker(socket, None, None, (server.pid,)), told
    assert postgres is not None
    url = await postgres.empty_database()
    if peer.store == "postgres":
        return Broker(socket, url, url, (postgres.pid,)), told | {"BENCH_BROKER": url}
    told["BOTRIX_LEDGER_URL"] = url
    return Broker(socket, None, url, (server.pid, postgres.pid)), told
