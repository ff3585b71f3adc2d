"""SCIM servers as real processes: our simulated one, and scim2-server."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.servers.system import free_port, until

TOKEN = "operators-token"


class ScimServer:
    """url: of its SCIM base. Ended by pid."""

    def __init__(self, port: int, path: str) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}{path}"
        self.headers = {"Authorization": f"Bearer {TOKEN}"}
        self.process: Process | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self, command: Sequence[str]) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=DEVNULL, stderr=DEVNULL
        )
        await until(self._answers, 20, f"{command} answers")

    async def stop(self) -> None:
        assert self.process is not None
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        session = self._opened()
        async with session.request(
            method, self.url + path, json=body, headers=self.headers
        ) as answer:
            return await answer.json(content_type=None) if answer.status < 500 else None

    def _opened(self) -> aiohttp.ClientSession:
        """One for all calls, closed with the server."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    async def users(self) -> list[dict[str, Any]]:
        said = await self.ask("GET", "/Users")
        return list(said["Resources"])

    async def _answers(self) -> bool:
        try:
            return await self.ask("GET", "/ServiceProviderConfig") is not None
        except (OSError, aiohttp.ClientError):
            return False


class SimulatedDirectory(ScimServer):
    """botrix.creators.simulated_server; its log is the truth about what was created."""

    def __init__(self, folder: Path) -> None:
        super().__init__(free_port(), "")
        self.log = folder / "calls.ndjson"

    async def begin(self, **quirks: Any) -> None:
        await self.start(
            ["-m", "botrix.creators.simulated_server", "--port", str(self.port), "--log",
             str(self.log), "--token", TOKEN, "--quirks", json.dumps(quirks)]
        )  # fmt: skip

    async def misbehave(self, **quirks: Any) -> None:
        await self.ask("PUT", "/_quirks", quirks)

    async def entries(self) -> list[dict[str, Any]]:
        return list(await self.ask("GET", "/_entries"))

    async def logs_in(self, said: dict[str, str]) -> bool:
        """Of {userName, password}."""
        async with self._opened().post(f"{self.url}/_login", json=said) as answer:
            return answer.status == 204

    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def created(self) -> Counter[str]:
        """How many entries were ever made of each name."""
        made = (c for c in self.calls() if c["verb"] == "create" and c["status"] == 201)
        return Counter(call["userName"] for call in made)


class RealScim(ScimServer):
    """scim2-server, of another author."""

    def __init__(self) -> None:
        super().__init__(free_port(), "/v2")

    async def begin(self) -> None:
        code = "from scim2_server.testserver.cli import main; main()"
        await self.start(
            ["-c", code, "--hostname", "127.0.0.1", "--port", str(self.port),
             "--bearer-token", TOKEN]
        )  # fmt: skip
