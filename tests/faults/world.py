"""A system under fault: real processes, a directory with a log of its own, clients that go on.

What clients sent and got, what the ledger's triggers and the directory wrote down, and what people
could read is gathered as evidence at the end. Leases are of about a second, so that what takes
twenty seconds in earnest is seen in two.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import secrets
import time
from asyncio.subprocess import Process
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from redis.exceptions import RedisError

from botrix import key_ring
from botrix.keys import new_key
from botrix.ledger.tables import metadata
from tests.faults import changes
from tests.faults.evidence import Evidence
from tests.servers.scim import TOKEN, SimulatedDirectory
from tests.servers.system import FINAL, System, look_at, until

LEASE = 1.2
HEALTH = 0.5
SHORT_LEASES = {
    "BOTRIX_LEASE": str(LEASE),
    "BOTRIX_BEAT": "0.25",
    "BOTRIX_BACKOFF_BASE": "0.05",
    "BOTRIX_BACKOFF_CAP": "1",
    "BOTRIX_REQUEST_TIMEOUT": "2",
    "BOTRIX_CAPACITY": "60",
    "HEALTH_CHECK_INTERVAL": str(HEALTH),
    "BOTRIX_LOG_LEVEL": "DEBUG",  # what is logged must hold no secret, however much it is
}
SETTLED = LEASE + 2.0
_LANES = ("high", "normal", "low")
_FOREIGN = 5


class World:
    """workers: how many are started, named worker-1 and so on. quirks: of the directory. Every
    attribute is there for a fault to use; `evidence` may be asked once, at the end."""

    def __init__(
        self,
        folder: Path,
        rng: random.Random,
        *,
        ledger_url: str | None = None,
        redis_url: str | None = None,
        workers: int = 2,
        quirks: dict[str, Any] | None = None,
        environ: dict[str, str] | None = None,
        keyed: bool = True,
    ) -> None:
        """keyed: whether the API wants a key of every client."""
        self.folder = folder
        self.rng = rng
        self.log = folder / "log"
        env = {**SHORT_LEASES, **(environ or {})}
        key = new_key().text if keyed else ""
        if keyed:
            (folder / "key").write_text(key)
            env["BOTRIX_API_KEY_FILE"] = str(folder / "key")
        self.system = System(folder / "data", env, ledger_url, redis_url, self.log)
        self.system.key = key
        self.directory = SimulatedDirectory(folder)
        self.directory_url: str | None = None  # of a proxy before it, if there is one
        self.quirks = {"delay": 0.01, **(quirks or {})}
        self.names = [f"worker-{n}" for n in range(1, workers + 1)]
        self.requests: list[dict[str, Any]] = []
        self.raw: list[dict[str, Any]] = []
        self.ended: dict[str, float] = {}
        self.errors: list[str] = []
        self.canaries = [key]
        self.extras: dict[str, Any] = {}
        self.marks: dict[str, int] = {}
        self._numbers = iter(range(1, 1 << 30))
        self._foreign: list[dict[str, Any]] = []
        self._events: list[str] = []
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        (self.folder / "data").mkdir()
        (self.folder / "token").write_text(TOKEN)
        await self.directory.begin(**self.quirks)
        for n in range(_FOREIGN):
            user = {"userName": f"foreign-{n}", "externalId": "by hand", "displayName": f"F {n}"}
            await self.directory.ask("POST", "/Users", user)
        self._foreign = await self.directory.entries()
        await self.system.start()
        await changes.install(self.system.direct_url)
        config = {"url": self.directory_url or self.directory.url,
                  "token_file": str(self.folder / "token"), "concurrency": 8}  # fmt: skip
        self.system.add_directory("idp", kind="scim", **config)
        self._listening = asyncio.create_task(self._listen())
        for name in self.names:
            await self.begin(name)

    async def stop(self) -> None:
        if self._listening:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        await self.system.stop()
        await self.directory.stop()

    # ---- workers

    async def begin(self, name: str, **environ: str) -> Process:
        return await self.system.worker(name, **environ)

    async def end(self, name: str) -> None:
        """SIGKILL."""
        await self.system.kill(name)
        self.ended[name] = time.monotonic()

    async def replace(self, name: str, **environ: str) -> Process:
        """A new one after a kill, under another name, so that the old health key is seen to go."""
        number = max(int(known.rpartition("-")[2]) for known in self.names) + 1
        self.names[self.names.index(name)] = f"worker-{number}"
        return await self.begin(f"worker-{number}", **environ)

    def pid(self, name: str) -> int:
        return self.system.workers[name].pid

    async def session_of(self, name: str) -> str | None:
        """The live session of a worker."""
        rows = self.system.rows(
            "SELECT id FROM sessions WHERE worker_id = ? AND status = 'live'"
            " ORDER BY started_at DESC", name
        )  # fmt: skip
        return str(rows[0][0]) if rows else None

    def held_by(self, session: str) -> list[tuple[str, int, int]]:
        """(job, index, attempt) of what is leased to a session."""
        rows = self.system.rows(
            "SELECT job_id, idx, attempt FROM accounts WHERE session_id = ?", session
        )
        return [(job, idx, attempt) for job, idx, attempt in rows]

    async def taken_up(self, held: list[tuple[str, int, int]], within: float = 30.0) -> float:
        """Seconds until each of these accounts has an end, or is in other hands."""
        began = time.monotonic()
        left = set(held)

        async def done() -> bool:
            marks = ", ".join("?" for _ in {job for job, _, _ in left})
            rows = self.system.rows(
                f"SELECT job_id, idx, attempt FROM accounts WHERE status IN ('leased', 'unsure',"
                f" 'planned') AND job_id IN ({marks})",
                *sorted({job for job, _, _ in left}),
            )
            left.intersection_update((job, idx, attempt) for job, idx, attempt in rows)
            return not left

        if left:
            await until(done, within, f"{len(left)} accounts are taken up again")
        return time.monotonic() - began

    # ---- clients

    async def submit(self, count: int, **more: Any) -> str | None:
        """Asked once with a key; None where no answer came, or one that says to ask again."""
        body = {"count": count, "directory": "idp", "priority": self.rng.choice(_LANES), **more}
        return await self._ask(f"key-{next(self._numbers)}", body)

    async def insist(self, count: int, within: float = 60.0) -> str:
        """Asked with one key until it is accepted."""
        key = f"key-{next(self._numbers)}"
        body = {"count": count, "directory": "idp", "priority": self.rng.choice(_LANES)}
        found: list[str] = []

        async def accepted() -> bool:
            job = await self._ask(key, body)
            found.extend([job] if job else [])
            return bool(found)

        await until(accepted, within, "a job is accepted")
        return found[0]

    async def _ask(self, key: str, body: dict[str, Any]) -> str | None:
        path = "/api/accounts/generate"
        request = {"key": key, "path": path, "body": body, "at": time.time(), "status": None,
                   "job_id": None}  # fmt: skip
        self.requests.append(request)
        try:
            async with self.system.http.post(
                path,
                json=body,
                headers={"Idempotency-Key": key},
                timeout=aiohttp.ClientTimeout(total=20),
            ) as answer:
                said = await answer.json(content_type=None)
        except (OSError, aiohttp.ClientError, TimeoutError, ValueError):
            return None
        request["status"] = answer.status
        if answer.status != 202:
            self.errors.append(json.dumps(said))
            return None
        request["job_id"] = said["id"]
        return str(said["id"])

    async def ask_again(self, request: dict[str, Any]) -> None:
        """What had no answer, with the same key."""
        await self._ask(request["key"], request["body"])

    async def submit_roster(self, names: list[str]) -> str:
        """Until it is accepted."""
        key, path = f"key-{next(self._numbers)}", "/api/accounts/import"
        given = [secrets.token_urlsafe(18) for _ in names]
        self.canaries += given
        rows = zip(names, given, strict=True)
        roster = "username,password\n" + "".join(f"{name},{word}\n" for name, word in rows)
        request = {"key": key, "path": path, "body": {"count": len(names)}, "at": time.time(),
                   "status": None, "job_id": None}  # fmt: skip
        self.requests.append(request)
        async with self.system.http.post(
            f"{path}?directory=idp",
            data=roster.encode(),
            headers={"Content-Type": "text/csv", "Idempotency-Key": key},
        ) as answer:
            said = await answer.json(content_type=None)
        assert answer.status == 202, said
        request |= {"status": answer.status, "job_id": said["id"]}
        return str(said["id"])

    def is_final(self, job: str) -> Callable[[], Awaitable[bool]]:
        async def final() -> bool:
            rows = self.system.rows("SELECT finished_at FROM jobs WHERE id = ?", job)
            return bool(rows) and rows[0][0] is not None

        return final

    async def job_is_done(self, count: int, within: float = 60.0) -> float:
        """Seconds until a new job is accepted and final."""
        began = time.monotonic()
        job = await self.insist(count, within)
        await until(self.is_final(job), within, f"{job} is final")
        return time.monotonic() - began

    async def push_raw(self, count: int) -> str | None:
        """Another program pushes an entry; None where the line did not take it."""
        ident = f"raw-{next(self._numbers)}"
        entry = json.dumps({"id": ident, "count": count, "directory": "idp"})
        try:
            await self.system.redis.rpush("botrix:jobs:queue", entry)
        except (RedisError, OSError):
            self.raw.append({"id": ident, "count": count, "certain": False})
            return None
        self.raw.append({"id": ident, "count": count})
        return ident

    async def keep_busy(self, accounts: int = 40) -> None:
        """So many accounts are wanted and not there yet."""
        open_now = self.open_accounts()
        while open_now < accounts:
            count = self.rng.choice((1, 1, 2, 5, 12))
            if await self.submit(count) is None:
                await asyncio.sleep(0.05)
            open_now += count

    def open_accounts(self) -> int:
        rows = self.system.rows(
            "SELECT coalesce(sum(count - created - existing - failed - cancelled - deleted), 0)"
            " FROM jobs WHERE status IN ('pending', 'running', 'cancelling')"
        )
        return int(rows[0][0])

    def created(self) -> int:
        rows = self.system.rows("SELECT coalesce(sum(created), 0) FROM jobs")
        return int(rows[0][0])

    # ---- the end

    async def settle(self, within: float = 60.0) -> None:
        """Until every job is final, and what failed or was cancelled was looked for again."""

        async def quiet() -> bool:
            open_jobs = self.system.rows(
                "SELECT count(*) FROM jobs WHERE NOT importing AND (finished_at IS NULL"
                " OR (look_at IS NOT NULL AND looked_at IS NULL))"
            )
            return bool(open_jobs == [(0,)])

        await until(quiet, within, "all jobs are final")

    async def evidence(self, reveal: int = 30) -> Evidence:
        """reveal: of how many accounts the password is asked for, and tried at the directory."""
        environment = self._processes()
        reveals, passwords = await self.reveals(reveal)
        health = await self._health()
        texts = {"events": "\n".join(self._events), "errors": "\n".join(self.errors)}
        surfaces = {
            "log": self.log.read_text(errors="replace"),
            "line": await self._line(),
            "ledger": self._ledger(),
            "files": self._files(),
            "processes": environment,
            **texts,
        }
        url = self.system.direct_url
        return Evidence(
            requests=self.requests, raw=self.raw, **await changes.read(url),
            entries=await self.directory.entries(), calls=self.directory.calls(),
            foreign=self._foreign, directories=["idp"], reveals=reveals,
            secrets=[*passwords, *self.canaries, *self._keys(), TOKEN], surfaces=surfaces,
            health=health,
            limits={"tries": 4, "renames": 8, "rate": None},
        )  # fmt: skip

    async def reveals(self, most: int) -> tuple[list[dict[str, Any]], list[str]]:
        rows = self.system.rows(
            "SELECT a.job_id, a.idx FROM accounts a JOIN jobs j ON j.id = a.job_id"
            " WHERE a.status = 'created' AND j.directory = 'idp'"
        )
        reveals: list[dict[str, Any]] = []
        passwords: list[str] = []
        some = self.rng.sample(rows, min(most, len(rows)))

        async def reveal(mine: list[tuple[Any, ...]]) -> None:
            for job, idx in mine:
                reveals.append(await self._reveal(f"{job}:{idx}", passwords))

        await asyncio.gather(*(reveal(some[n::8]) for n in range(8)))
        return reveals, passwords

    async def _reveal(self, account: str, passwords: list[str]) -> dict[str, Any]:
        async with self.system.http.post(f"/api/accounts/{account}/reveal", json={}) as answer:
            said = await answer.json(content_type=None)
        name, password = said.get("username"), said.get("password", "")
        passwords += [password] if password else []
        told = {"userName": name, "password": password}
        logs_in = answer.status == 200 and await self.directory.logs_in(told)
        return {"account": account, "userName": name, "status": answer.status, "logs_in": logs_in}

    def _keys(self) -> list[str]:
        """The sealing keys, as they might be written somewhere."""
        ring = key_ring.read(self.system.settings.sealing_key_file)
        kept = [key.secret for key in ring.keys]
        forms = [(one.hex(), b64encode(one).decode(), one.decode("latin-1")) for one in kept]
        return [form for each in forms for form in each]

    def _ledger(self) -> str:
        """Every column of every table."""
        tables = metadata.sorted_tables
        return "\n".join(repr(self.system.rows(f"SELECT * FROM {table.name}")) for table in tables)

    def _files(self) -> str:
        """Whatever the system wrote (ledger and WAL, files of the line), but for the key itself."""
        data = self.system.settings.data
        kept = (path for path in data.rglob("*") if path.is_file())
        return "\n".join(
            path.read_bytes().decode("latin-1")
            for path in kept
            if path != self.system.settings.sealing_key_file
        )

    def _processes(self) -> str:
        """Titles and environments of those that run."""
        told = []
        for process in (*self.system.workers.values(), *self.system.supervisor.processes.values()):
            for what in ("cmdline", "environ"):
                with contextlib.suppress(OSError):  # it is gone
                    told.append(Path(f"/proc/{process.pid}/{what}").read_text(errors="replace"))
        return "\n".join(told)

    async def _health(self) -> list[dict[str, Any]]:
        ttl = max(1, round(3 * HEALTH))
        gone = []
        for name, at in self.ended.items():
            present = await self.system.redis.exists(f"botrix:worker:health:{name}")
            dead_for = time.monotonic() - at
            gone.append({"worker_id": name, "dead_for": dead_for, "ttl": ttl,
                         "present": bool(present)})  # fmt: skip
        return gone

    async def _line(self) -> str:
        """Everything that the line holds."""
        parts = []
        redis = self.system.redis
        async for key in redis.scan_iter(count=1000):
            match await redis.type(key):
                case "list":
                    values = await redis.lrange(key, 0, -1)
                case "stream":
                    values = await redis.xrange(key)
                case _:
                    values = await redis.get(key)
            parts.append(f"{key} {values}")
        return "\n".join(parts)

    async def _listen(self) -> None:
        """Events, as long as the line tells them."""
        while True:
            with contextlib.suppress(RedisError, OSError):
                async with look_at(self.system.settings.redis_url) as redis:
                    pubsub = redis.pubsub()
                    await pubsub.subscribe("botrix:jobs:updates")
                    async for message in pubsub.listen():
                        self._events.append(str(message["data"]))
            await asyncio.sleep(0.1)


async def watched(condition: Callable[[], Awaitable[Any]], within: float, what: str) -> float:
    """Seconds until a condition holds."""
    began = time.monotonic()
    await until(condition, within, what)
    return time.monotonic() - began


def stop_now(pid: int, number: int) -> None:
    """A signal to a process of ours, by its pid; it may have ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


__all__ = ["FINAL", "LEASE", "SETTLED", "World", "stop_now", "watched"]
