"""A real terminal: tmux, with a server of its own; what stands on it is asked as text."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path

from tests.guides import ROOT
from tests.servers.system import until

PROGRAMS = Path(sys.executable).parent
_NOTED = 'trap : INT; "$@"; echo $? > "$0.new"; mv "$0.new" "$0"; exec sleep 3600'
"""Not left to tmux, which now and then tells no status. Who is told to end is the command alone.
The sleep is ended with the screen: a pane whose program is gone is scrolled by what tmux says of
it, which takes the first line away."""
_SAID = frozenset({"NO_COLOR", "FORCE_COLOR", "TMUX", "COLUMNS", "LINES"})


def missing() -> str:
    return "" if shutil.which("tmux") else "tmux is not installed: NO TERMINAL WAS TRIED"


class Screen:
    """One command on it. folder: short, for the socket's sake."""

    def __init__(self, folder: Path) -> None:
        self._socket, self._config = folder / "tmux", folder / "tmux.conf"
        self._status = folder / "status"
        self._config.write_text("set -g status off\n")

    async def open(
        self, *command: str, url: str = "", width: int = 80, height: int = 24, **environ: str
    ) -> None:
        given = {"BOTRIX_URL": url, "TERM": "screen-256color", "LANG": "C.UTF-8", **environ}
        await self._tmux(
            "new-session", "-d", "-x", str(width), "-y", str(height),
            shlex.join(["sh", "-c", _NOTED, str(self._status), *command]),
            environ=given,
        )  # fmt: skip

    async def text(self, colours: bool = False) -> str:
        return await self._tmux("capture-pane", "-p", *(["-e"] if colours else []))

    async def lines(self) -> list[str]:
        return (await self.text()).splitlines()

    async def type(self, *keys: str) -> None:
        """As tmux names them: `q`, `C-c`, `Tab`."""
        await self._tmux("send-keys", *keys)

    async def resize(self, width: int, height: int) -> None:
        await self._tmux("resize-window", "-x", str(width), "-y", str(height))

    async def shows(self, *texts: str, within: float = 60.0) -> None:
        said = ""

        async def all_there() -> bool:
            nonlocal said
            said = await self.text()
            return all(text in said for text in texts)

        try:
            await until(all_there, within, f"{texts} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{said}") from None

    async def lacks(self, text: str, within: float = 60.0) -> None:
        async def gone() -> bool:
            return text not in await self.text()

        await until(gone, within, f"no {text!r} on the screen")

    async def ended(self, within: float = 20.0) -> int:
        """Its exit status."""

        async def dead() -> bool:
            return self._status.exists()

        await until(dead, within, "the command has ended")
        return int(self._status.read_text())

    async def close(self) -> None:
        if self._socket.exists():
            await self._tmux("kill-server")

    async def _tmux(self, *command: str, environ: Mapping[str, str] | None = None) -> str:
        process = await asyncio.create_subprocess_exec(
            "tmux", "-S", str(self._socket), "-f", str(self._config), *command,
            stdout=PIPE, stderr=PIPE, env=_environ(environ or {}),
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, (command, err.decode())
        return out.decode()


def _environ(given: Mapping[str, str]) -> dict[str, str]:
    """Of the server, and so of the command: the code beside us, and nothing but the terminal itself
    that says how a terminal is."""
    kept = {name: value for name, value in os.environ.items() if name not in _SAID}
    path = f"{PROGRAMS}:{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), **given}


def botrix(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "botrix", *words)
