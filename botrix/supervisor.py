"""Everything on one machine: the embedded line, the API and workers as child processes.

A worker that dies is started again, and its session declared lost at once: who has reaped a process
need not wait for its lease. One that ended in order was told to, and stays away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import urllib.request
from asyncio.subprocess import Process
from collections.abc import Mapping
from typing import IO

from botrix.errors import BotrixError
from botrix.ledger.migrate import upgrade
from botrix.line.server import LineServer
from botrix.services import open_ledger
from botrix.settings import Settings
from botrix.worker.member import end_of

_log = logging.getLogger(__name__)
_HEALTH = "2"


class Supervisor:
    """Start it, wait as long as wanted, stop it. output: where the processes write, if not to this
    one's."""

    def __init__(self, settings: Settings, workers: int, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self.output: IO[bytes] | None = None
        urls = {"BOTRIX_LEDGER_URL": settings.ledger_url, "REDIS_URL": settings.redis_url}
        self._environ = {
            **environ,
            "BOTRIX_DATA": str(settings.data),
            "BOTRIX_PORT": str(settings.port),
            "BOTRIX_PROCESSES": "1",  # how many workers there are is said to `botrix up`
            # What came from a file stays in it: more people see an environment.
            **{name: url for name, url in urls.items() if f"{name}_FILE" not in environ},
        }
        self._names = [f"worker-{n}" for n in range(1, workers + 1)]
        self.line = LineServer(settings.data, settings.line_socket)
        self._ledger = open_ledger(settings.ledger_url)
        self.processes: dict[str, Process] = {}
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns once the API is ready. Raises BotrixError where something did not start."""
        await asyncio.to_thread(upgrade, self.settings.ledger_url)
        if self.settings.redis_url == self.line.url:
            await self.line.start()
        await self._launch("api", "api")
        for name in self._names:
            await self._launch(name, "worker", "--worker-id", name)
            self._keepers.append(asyncio.create_task(self._keep(name)))
        await self._until_ready()

    async def start_api(self) -> None:
        """Once more, after it ended. Returns once it is ready."""
        await self._launch("api", "api")
        await self._until_ready()

    async def stop(self) -> None:
        """Workers first, so that they can still record; the line last."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        workers = [p for name, p in self.processes.items() if name != "api"]
        await asyncio.gather(*(_end(p, self.settings.grace + 5.0) for p in workers))
        if "api" in self.processes:
            await _end(self.processes["api"], 15.0)
        await self._ledger.close()
        await self.line.stop()

    def environ_of(self, name: str) -> dict[str, str]:
        """Each worker has a port of its own for its metrics: the first the one that is set, the
        others those after it. They say what they hold every other second, since people look."""
        port = self.settings.metrics_port
        if name not in self._names:
            return self._environ
        environ = {"HEALTH_CHECK_INTERVAL": _HEALTH, **self._environ}
        if port:
            environ["BOTRIX_METRICS_PORT"] = str(port + self._names.index(name))
        return environ

    async def _launch(self, name: str, *command: str) -> None:
        self.processes[name] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "botrix", *command,
            env=self.environ_of(name), start_new_session=True,
            stdout=self.output, stderr=self.output,
        )  # fmt: skip

    async def _keep(self, name: str) -> None:
        while True:
            process = self.processes[name]
            code = await process.wait()
            if code == 0:
                _log.info("%s ended as it was told to; another: botrix worker", name)
                return
            _log.warning("%s %s; it is started again", name, end_of(code))
            with contextlib.suppress(BotrixError):
                for peer in await self._ledger.peers():
                    if peer.pid == process.pid and peer.host == os.uname().nodename:
                        await self._ledger.mark_lost(peer.id, None)
            await asyncio.sleep(0.2)
            await self._launch(name, "worker", "--worker-id", name)

    async def _until_ready(self) -> None:
        # Not /ready: jobs are accepted while the line is down.
        url = f"http://127.0.0.1:{self.settings.port}/health"
        for _ in range(300):
            if self.processes["api"].returncode is not None:
                raise BotrixError(
                    f"the API did not start; is port {self.settings.port} in use? choose --port"
                )
            if await asyncio.to_thread(_answers, url):
                return
            await asyncio.sleep(0.1)
        raise BotrixError("the API did not become ready within 30 s; see its log above")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  own address
            return bool(answer.status == 200)
    except OSError:
        return False


async def _end(process: Process, within: float) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), within)
    except TimeoutError:
        process.kill()
        await process.wait()
