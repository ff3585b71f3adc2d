"""One worker process of a daemon that has several: how it is started, and what is known of it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from pathlib import Path

from botrix.settings import Settings

_PR_SET_PDEATHSIG = 1
_FIRST_WORD = 60.0
_SHORT, _FIRST_PAUSE, _LONGEST_PAUSE, _MOST_DEATHS = 60.0, 0.2, 5.0, 10
_OF_A_MANAGER = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "BOTRIX_PROCESSES")


class Member:
    """number: from 1. ready: it said so in this life. condemned: in this life it
    hung. over: it will not be started again. patience:
    what it asks the service manager for while it waits for a store."""

    def __init__(self, settings: Settings, number: int, clock: Callable[[], float]) -> None:
        self.name = f"{settings.worker_id}-{number}"
        self.ready = self.over = self.condemned = False
        self.status, self.patience = "starting", ""
        self.health_file = _beside(settings.health_file, number)
        self.process: Process | None = None
        self._port = settings.metrics_port + number - 1 if settings.metrics_port else 0
        self._watchdog = settings.watchdog
        self._clock = clock
        self._began = self._heard = 0.0
        self._spoken = False
        self._deaths = 0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    @property
    def silence(self) -> float:
        """Of the time after which it counts as hung; 1 and above: it does, or it does not run."""
        if self.condemned or not self.running:
            return 1.0
        if not self._watchdog:
            return 0.0
        limit = self._watchdog if self._spoken else max(_FIRST_WORD, self._watchdog)
        return (self._clock() - self._heard) / limit

    async def start(self, environ: Mapping[str, str], address: str) -> None:
        """address: where it is to speak of itself. It gets SIGTERM when this process ends, however
        that happens, and is in a session of its own: Ctrl-C would reach it twice."""
        self.ready = self.condemned = self._spoken = False
        self.status = "starting"
        self._began = self._heard = self._clock()
        parent = os.getpid()

        def with_parent() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "botrix", "worker", "--worker-id", self.name,
            env=self._environ(environ, address), start_new_session=True, preexec_fn=with_parent,
        )  # fmt: skip

    def hear(self, said: Mapping[str, str]) -> None:
        self._heard, self._spoken = self._clock(), True
        self.ready = self.ready or "READY" in said
        self.status = said.get("STATUS", self.status)
        self.patience = said.get("EXTEND_TIMEOUT_USEC", "")

    def send(self, number: signal.Signals) -> None:
        if self.running:
            assert self.process is not None
            self.process.send_signal(number)

    def died(self) -> float | None:
        """Seconds until it is to be started again; None where it died too often, one soon after the
        other."""
        lasted = self._clock() - self._began
        self._deaths = 1 if lasted > _SHORT else self._deaths + 1
        if self._deaths >= _MOST_DEATHS:
            return None
        return float(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (self._deaths - 1)))

    def fresh(self) -> float | None:
        """When it left word in its health file; None where it did not."""
        try:
            return None if self.health_file is None else self.health_file.stat().st_mtime
        except OSError:
            return None

    def _environ(self, environ: Mapping[str, str], address: str) -> dict[str, str]:
        mine = {name: value for name, value in environ.items() if name not in _OF_A_MANAGER}
        mine["NOTIFY_SOCKET"] = address
        if self._watchdog:
            mine["WATCHDOG_USEC"] = str(round(self._watchdog * 1e6))
        if self._port:
            mine["BOTRIX_METRICS_PORT"] = str(self._port)
        if self.health_file:
            mine["BOTRIX_HEALTH_FILE"] = str(self.health_file)
        return mine


def _beside(file: Path | None, number: int) -> Path | None:
    return None if file is None else file.with_name(f"{file.name}-{number}")


def end_of(code: int) -> str:
    """How a process ended, for people."""
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


_LIBC = ctypes.CDLL(None)
