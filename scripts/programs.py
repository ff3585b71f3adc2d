"""Programs that the runner starts: none outlives it, and each that fails says why in one line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]


class Failed(Exception):
    """One line: what happened, to which thing, what to do next. status: to exit with."""

    def __init__(self, line: str, status: int = 1) -> None:
        super().__init__(line)
        self.status = status


class Ended(BaseException):
    """Ctrl-C or SIGTERM came."""


class Signals:
    """The first ends the run; what begins or ends a process is finished before it does."""

    came = 0
    _held = False

    def take(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._heard)

    @contextmanager
    def held(self) -> Iterator[None]:
        before, self._held = self._held, True
        came = self.came
        try:
            yield
        finally:
            self._held = before
        if self.came != came and not before:
            raise Ended

    def _heard(self, number: int, _: object) -> None:
        if not self.came:
            self.came = number
            if not self._held:
                raise Ended


SIGNALS = Signals()


def launch(command: Sequence[str], output: int | IO[bytes], env: dict[str, str]) -> Any:
    """In a group of its own: Ctrl-C reaches this program alone, which ends the others in order."""
    program = shutil.which(command[0])
    if program is None:
        raise Failed(f"{command[0]} was not found; install it, or put it on the PATH", 2)
    try:
        return subprocess.Popen(
            [program, *command[1:]], cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise Failed(f"{program} does not start ({error.strerror}); install it anew", 2) from None


def end(process: Any, gently: signal.Signals, within: float) -> None:
    """Asks the process; what is left of its group after `within` seconds is killed."""
    if process.poll() is None:
        process.send_signal(gently)
        with suppress(subprocess.TimeoutExpired):
            process.wait(within)
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


@dataclass
class Programs:
    """Runs programs to their end. What they say goes into the log, and to the screen if wanted."""

    log: Path
    screen: IO[str]
    verbose: bool = False

    def run(self, *command: str, within: float = 60.0, shown: bool = False, **more: Any) -> str:
        """What it said. Raises Failed where it is missing, takes too long or fails. more: `env`;
        `secret`, where what it says must not be written down."""
        name, began, process = f"`{' '.join(command[:4])}`", time.monotonic(), None
        try:
            with SIGNALS.held():
                process = launch(command, subprocess.PIPE, more.get("env") or dict(os.environ))
                late = threading.Timer(within, end, (process, signal.SIGINT, 10))
                late.start()
            said = self._read(process.stdout, shown or self.verbose, more.get("secret", False))
            status = process.wait()
        finally:
            if process is not None:
                with SIGNALS.held():
                    late.cancel()
                    end(process, signal.SIGINT, 40)
                    process.stdout.close()
        if time.monotonic() - began >= within:
            raise Failed(f"{name} took longer than {within:.0f} s; look into {self.log.name}")
        if status:
            last = (said.strip().splitlines() or ["it said nothing"])[-1]
            raise Failed(f"{name} ended with {status}: {last[:300]}")
        return said

    def _read(self, output: IO[bytes], shown: bool, secret: bool) -> str:
        if secret:
            return output.read().decode()
        said = []
        with self.log.open("a", encoding="utf-8") as log:
            for line in (raw.decode("utf-8", "replace") for raw in output):
                said.append(line)
                log.write(line)
                if shown:
                    print(line, end="", file=self.screen, flush=True)
        return "".join(said)
