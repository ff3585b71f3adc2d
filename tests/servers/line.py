"""A line server on a TCP port of its own, which may be a replica of another."""

from __future__ import annotations

from pathlib import Path

from redis.asyncio import Redis

from botrix.line.server import LineServer
from tests.servers.system import free_port, until


class TcpLineServer(LineServer):
    """Loopback only, on two addresses, so that clients can be told apart by them. It listens on a
    unix socket as well, by which tests reach it when the network is what fails."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, folder / "line.sock")
        self.port = free_port()

    @property
    def tcp_url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def follow(self, port: int) -> None:
        """Becomes the replica of another one; returns once it has all that the other has."""
        async with Redis.from_url(self.url, decode_responses=True) as redis:
            await redis.replicaof("127.0.0.1", port)

            async def in_step() -> bool:
                said = await redis.info("replication")
                return said.get("master_link_status") == "up"

            await until(in_step, 20, f"the line on {self.port} follows {port}")

    async def lead(self) -> None:
        async with Redis.from_url(self.url, decode_responses=True) as redis:
            await redis.replicaof("NO", "ONE")

    def _configuration(self) -> str:
        here = {"port": self.port, "bind": "127.0.0.1 127.0.0.2", "protected-mode": "no",
                "repl-diskless-sync-delay": 0, "repl-timeout": 5}  # fmt: skip
        lines = [line for line in super()._configuration().splitlines() if line[:5] != "port "]
        return "\n".join([*lines, *(f"{name} {value}" for name, value in here.items()), ""])
