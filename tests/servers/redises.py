"""Redis of the machine in the shapes that an operator runs it in: Sentinel, Cluster, TLS, users."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from botrix.line.server import _end_with_parent
from tests.servers.certificates import Authority
from tests.servers.system import free_port, until

_BINARY = shutil.which("redis-server")
SERVICE = "botrix-line"


def missing() -> str | None:
    """Why nothing of this can be tried here, or None."""
    return None if _BINARY else "there is no redis-server; on Debian: apt-get install redis-server"


def needed(suite: str) -> list[pytest.MarkDecorator]:
    """Marks of tests that need this program."""
    reason = f"{suite} was NOT tried: {missing()}"
    return [pytest.mark.suite(suite), pytest.mark.skipif(_BINARY is None, reason=reason)]


class RedisServer:
    """One process on a free loopback port. authority: whose certificates it shows and asks for, if
    it is to speak nothing but TLS. settings: lines of redis.conf, with _ for -."""

    def __init__(
        self, folder: Path, *arguments: str, authority: Authority | None = None, **settings: Any
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._arguments = arguments
        self._settings = {
            "port": self.port, "bind": "127.0.0.1", "dir": folder, "save": '""', **settings
        }  # fmt: skip
        if authority is not None:
            self.url = f"rediss://127.0.0.1:{self.port}/0?{authority.options()}"
            self._settings |= _tls(self.port, authority)
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._launch()
        await until(self._listens, 10, f"redis-server listens on {self.port}; see {self.folder}")

    def _launch(self) -> None:
        """The configuration is a file, since Sentinels write theirs anew."""
        file = self.folder / "redis.conf"
        if not file.exists():
            lines = [f"{name.replace('_', '-')} {value}" for name, value in self._settings.items()]
            file.write_text("\n".join([*lines, ""]))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [_BINARY or "redis-server", file, *self._arguments],
                stdout=log, stderr=log, start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  calls prctl alone
            )  # fmt: skip

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


def _tls(port: int, authority: Authority) -> dict[str, Any]:
    certificate, key = authority.issue(f"redis-{port}", "127.0.0.1")
    return {
        "port": 0, "tls_port": port, "tls_cert_file": certificate, "tls_key_file": key,
        "tls_ca_cert_file": authority.file, "tls_replication": "yes",
    }  # fmt: skip


class Watched:
    """A primary with a replica, and three Sentinels who watch them."""

    def __init__(self, folder: Path, authority: Authority | None) -> None:
        common: dict[str, Any] = {"repl_diskless_sync_delay": 0, "authority": authority}
        self.scheme, self.options = ("rediss", authority.options()) if authority else ("redis", "")
        self.primary = RedisServer(folder / "a", appendonly="yes", **common)
        self.replica = RedisServer(
            folder / "b", replicaof=f"127.0.0.1 {self.primary.port}", **common
        )
        watched = {
            "sentinel monitor": f"{SERVICE} 127.0.0.1 {self.primary.port} 2",
            "sentinel down-after-milliseconds": f"{SERVICE} 1000",
            "sentinel failover-timeout": f"{SERVICE} 3000",
        }
        self.sentinels = [
            RedisServer(folder / f"s{n}", "--sentinel", authority=authority, **watched)
            for n in range(3)
        ]
        self.servers = [self.primary, self.replica, *self.sentinels]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        return f"{self.scheme}+sentinel://{hosts}/{SERVICE}?{self.options}"

    async def cut_off(self) -> None:
        """From now on the replica gets nothing more; the primary does not know."""
        async with Redis.from_url(self.replica.url) as redis:
            await redis.config_set("masterauth", "wrong")
            await redis.config_set("masteruser", "nobody")
        async with Redis.from_url(self.primary.url) as redis:
            await redis.client_kill_filter(_type="replica")

    async def has_turned(self) -> bool:
        """Whether the replica leads; then it is the primary, and may follow later."""
        try:
            async with Redis.from_url(self.replica.url) as redis:
                if (await redis.info("replication"))["role"] != "master":
                    return False
                await redis.config_set("masterauth", "")
                await redis.config_set("masteruser", "")
                await redis.config_rewrite()  # the Sentinel has had them written already
        except RedisError:  # who takes over hangs up on everybody
            return False
        self.primary, self.replica = self.replica, self.primary
        return True

    async def is_whole(self) -> bool:
        """Whether one of the two has all that the other has. On a busy machine Sentinels may have
        let the other one lead for no reason."""
        for leads, follows in ((self.primary, self.replica), (self.replica, self.primary)):
            said = await _replication(leads)
            if said.get("connected_slaves") == 1 and said["slave0"]["state"] == "online":
                self.primary, self.replica = leads, follows
                return True
        return False

    async def start(self) -> None:
        """The Sentinels last, since they look for replicas once in ten seconds."""
        for server in (self.primary, self.replica):
            await server.start()
        await until(self.is_whole, 20, "the replica follows")
        for server in self.sentinels:
            await server.start()
        await until(self._known, 30, "the Sentinels know each other and the replica")

    async def _known(self) -> bool:
        for sentinel in self.sentinels:
            async with Redis.from_url(sentinel.url) as redis:
                told = (await redis.sentinel_masters())[SERVICE]
            if (told["num-slaves"], told["num-other-sentinels"]) != (1, 2):
                return False
        return True


async def _replication(server: RedisServer) -> dict[str, Any]:
    """Nothing where it hangs up, as one does whose part in it changes."""
    try:
        async with Redis.from_url(server.url) as redis:
            return dict(await redis.info("replication"))
    except (RedisError, OSError):
        return {}


@asynccontextmanager
async def sentinels(folder: Path, authority: Authority | None = None) -> AsyncIterator[Watched]:
    made = Watched(folder, authority)
    try:
        await made.start()
        yield made
    finally:
        for server in made.servers:
            server.kill()


class Nodes:
    """A Cluster of three primaries."""

    def __init__(self, folder: Path, authority: Authority | None) -> None:
        self.scheme, self.options = ("rediss", authority.options()) if authority else ("redis", "")
        secure = {"tls_cluster": "yes"} if authority else {}
        self.servers = [
            RedisServer(
                folder / f"n{n}", cluster_enabled="yes", cluster_port=free_port(),
                cluster_node_timeout=1000, appendonly="yes", authority=authority, **secure,
            )
            for n in range(3)
        ]  # fmt: skip

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.servers)
        return f"{self.scheme}+cluster://{hosts}?{self.options}"

    async def owner(self, slot: int) -> RedisServer:
        for server in self.servers:
            async with Redis.from_url(server.url) as redis:
                with_slots = await redis.execute_command("CLUSTER SLOTS")
                for first, last, (_, port, *_), *_ in with_slots:
                    if first <= slot <= last:
                        return next(one for one in self.servers if one.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    async def move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """As `redis-cli --cluster reshard` does: key by key, while clients go on."""
        async with Redis.from_url(source.url) as a, Redis.from_url(target.url) as b:
            mine, yours = [
                (await one.execute_command("CLUSTER", "MYID")).decode() for one in (a, b)
            ]
            await b.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", mine)
            await a.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", yours)
            while found := await a.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 10):
                await a.execute_command(
                    "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *found
                )
            for redis in (b, a):
                await redis.execute_command("CLUSTER", "SETSLOT", slot, "NODE", yours)

    async def is_broken(self) -> bool:
        """Whether a node that runs says that slots are not served."""
        for server in self.servers:
            if server.process is not None:
                async with Redis.from_url(server.url) as redis:
                    return (await _info(redis))["cluster_state"] != "ok"
        return True

    async def meet(self) -> None:
        """Shares the slots out and waits until every node knows of it."""
        clients = [Redis.from_url(one.url, decode_responses=True) for one in self.servers]
        first, bounds = self.servers[0], (0, 5461, 10923, 16384)
        try:
            for n, client in enumerate(clients):
                await client.execute_command(
                    "CLUSTER", "ADDSLOTSRANGE", bounds[n], bounds[n + 1] - 1
                )
                await client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            bus = first._settings["cluster_port"]
            for client in clients[1:]:
                await client.execute_command("CLUSTER", "MEET", "127.0.0.1", first.port, bus)
            await until(lambda: _whole(clients), 20, "the Cluster is whole")
        finally:
            for client in clients:
                await client.aclose()


async def _whole(clients: Sequence[Redis]) -> bool:
    for client in clients:
        try:
            told = await _info(client)
        except RedisError:
            return False
        if (told["cluster_state"], told["cluster_size"]) != ("ok", "3"):
            return False
    return True


async def _info(redis: Redis) -> dict[str, str]:
    told: dict[str, str] = await redis.execute_command("CLUSTER INFO")
    return told


@asynccontextmanager
async def cluster(folder: Path, authority: Authority | None = None) -> AsyncIterator[Nodes]:
    made = Nodes(folder, authority)
    try:
        for server in made.servers:
            await server.start()
        await made.meet()
        yield made
    finally:
        for server in made.servers:
            server.kill()
