"""The whole system as real processes, for tests: started on free loopback ports, ended by pid."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import random
import signal
import socket
import sqlite3
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import aiohttp
import asyncpg
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.sentinel import Sentinel

from botrix.line.url import CLUSTER, SENTINEL, read
from botrix.settings import Settings
from botrix.supervisor import Supervisor

FINAL = ("completed", "failed", "cancelled")
FAST = {"BOTRIX_LEASE": "2", "BOTRIX_BEAT": "0.4", "BOTRIX_BACKOFF_BASE": "0.05"}


class System:
    """Line, ledger and API run from `start`; workers are started by the test."""

    def __init__(
        self,
        data: Path,
        environ: Mapping[str, str] = FAST,
        ledger_url: str | None = None,
        redis_url: str | None = None,
        log: Path | None = None,
    ) -> None:
        """log: where the processes write, if not to this one's stderr. A redis_url is of a line
        that somebody else starts and stops."""
        self.settings = Settings.read(
            {}, data=data, port=free_port(), ledger_url=ledger_url, redis_url=redis_url
        )
        self.environ = {**os.environ, "BOTRIX_LOG_LEVEL": "INFO", **environ}
        self.supervisor = Supervisor(self.settings, 0, self.environ)
        self.direct_url = self.settings.ledger_url  # where the system goes through a proxy
        self.output = log.open("ab") if log else None
        self.supervisor.output = self.output
        self.url = f"http://127.0.0.1:{self.settings.port}"
        self.workers: dict[str, Process] = {}
        self._http: aiohttp.ClientSession | None = None
        self.key = ""  # of the API, which `http` sends
        self.prefix: tuple[str, ...] = ()  # of a worker's command, such as strace
        self.redis = look_at(self.settings.redis_url)

    async def start(self) -> None:
        await self.supervisor.start()
        self.connect()

    def connect(self) -> None:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else None
        self._http = aiohttp.ClientSession(self.url, headers=headers)

    async def answers(self, path: str) -> bool:
        """Whether the API answers this with 200."""
        try:
            async with self.http.get(path) as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    @property
    def http(self) -> aiohttp.ClientSession:
        assert self._http is not None, "start it first"
        return self._http

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.close()
        await self.redis.aclose()
        for name in list(self.workers):
            await self.kill(name)
        await self.supervisor.stop()
        if self.output:
            self.output.close()

    async def worker(self, name: str = "worker-1", *options: str, **environ: str) -> Process:
        """By the documented entry point."""
        env = {
            **self.environ,
            "BOTRIX_DATA": str(self.settings.data),
            "BOTRIX_LEDGER_URL": self.settings.ledger_url,
            "REDIS_URL": self.settings.redis_url,
            **environ,
        }
        command = ("-m", "workers.worker_daemon", "--worker-id", name, *options)
        process = await asyncio.create_subprocess_exec(
            *self.prefix, sys.executable, *command, env=env, stdout=self.output, stderr=self.output
        )
        self.workers[name] = process
        return process

    async def kill(self, name: str) -> None:
        process = self.workers.pop(name)
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def restart_api(self) -> None:
        """SIGKILL, and a new one, once it answers."""
        old = self.supervisor.processes["api"]
        old.kill()
        await old.wait()
        await self.supervisor.start_api()

    async def terminate(self, name: str) -> int:
        process = self.workers.pop(name)
        process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(process.wait(), 30)

    def add_directory(self, name: str, *, kind: str = "simulated", **config: Any) -> None:
        self.rows(
            "INSERT INTO directories (name, kind, config, created_at)"
            " VALUES (?, ?, ?, 0) RETURNING name",
            name,
            kind,
            json.dumps(config),
        )

    async def generate(self, count: int = 1, **more: Any) -> str:
        answer = await self.post("/api/accounts/generate", {"count": count, **more}, 202)
        return str(answer["id"])

    async def post(self, path: str, body: dict[str, Any], expected: int, **headers: str) -> Any:
        async with self.http.post(path, json=body, headers=headers) as answer:
            said = await answer.json(content_type=None)
            assert answer.status == expected, said
            return said

    async def get(self, path: str) -> Any:
        async with self.http.get(path) as answer:
            return await answer.json(content_type=None)

    async def final(self, job_id: str, within: float = 30.0) -> dict[str, Any]:
        """The job, once it is final."""
        found: dict[str, Any] = {}

        async def done() -> bool:
            found.update(await self.get(f"/api/jobs/{job_id}"))
            return found["status"] in FINAL

        await until(done, within, f"job {job_id} final")
        return found

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Of the ledger itself, whichever database it is; parameters are written `?`."""
        url = self.direct_url
        if url.startswith("sqlite"):
            path = url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(path, timeout=10)) as db, db:
                return db.execute(sql, values).fetchall()
        for n in range(1, len(values) + 1):
            sql = sql.replace("?", f"${n}", 1)
        with ThreadPoolExecutor(1) as thread:  # this thread has a loop that runs
            return thread.submit(asyncio.run, _rows(url, sql, values)).result()


async def _rows(url: str, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    db = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await db.fetch(sql, *values)]
    finally:
        await db.close()


def look_at(url: str, **options: Any) -> Any:
    """A client of redis-py for whatever line the url names, so that a test sees what is there."""
    named = read(url)
    if not named.kind:
        return Redis.from_url(url, decode_responses=True, **options)
    options |= {**named.options, "decode_responses": True, "ssl": named.scheme == "rediss"}
    if named.kind == CLUSTER:
        nodes = [ClusterNode(host, port) for host, port in named.nodes]
        return RedisCluster(startup_nodes=nodes, **options)
    assert named.kind == SENTINEL
    sentinel: Any = Sentinel(named.nodes, sentinel_kwargs=named.sentinel_options)
    return sentinel.master_for(named.service, **options)


async def until(condition: Callable[[], Awaitable[Any]], within: float, what: str) -> None:
    """Waits for a condition, never for a time."""
    deadline = time.monotonic() + within
    while not await condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        await asyncio.sleep(0.02)


def free_port() -> int:
    """Below those that the kernel gives to connections (ip_local_port_range), one of which could
    take it before the server that it is meant for does. It is kept from other runs of these tests
    on this machine until this process ends."""
    folder = Path(tempfile.gettempdir()) / "botrix-ports"
    folder.mkdir(exist_ok=True)
    for port in random.sample(range(20_000, 32_000), 1000):
        kept = (folder / str(port)).open("w")
        with contextlib.suppress(OSError), socket.socket() as found:
            fcntl.flock(kept, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.bind(("127.0.0.1", port))
            _KEPT.append(kept)
            return port
        kept.close()
    raise AssertionError("no port is free on this machine")


_KEPT: list[IO[str]] = []
