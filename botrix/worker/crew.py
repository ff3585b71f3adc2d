"""Several worker processes of one daemon: started, watched, started again, ended together.

Each is a whole worker with an id of its own; this process does no work and opens no store, so that
nothing of a directory or a database can end it. To the service manager all of them are one service:
what each says of itself comes here, and goes on as one word. The end of this process, even by
SIGKILL, is a SIGTERM to each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping

from botrix.errors import SettingsError
from botrix.log import set_up
from botrix.notify import Notifier
from botrix.settings import Settings
from botrix.worker.hearing import Hearing
from botrix.worker.member import Member, end_of
from botrix.worker.word import leave_word

_log = logging.getLogger(__name__)
_QUIET = 0.75
"""Of the watchdog's time: after so much silence of one, nothing good is said of all."""
_LOOK = 0.5
_PAST_GRACE = 5.0
_TRACEBACK = 2.0


def main(settings: Settings, environ: Mapping[str, str]) -> int:
    """Runs until SIGTERM or SIGINT. 0 where all ended in order, 1 where one could not be kept.

    Raises SettingsError where several processes cannot be had.
    """
    check(settings)
    set_up(settings, settings.worker_id)
    return asyncio.run(Crew(settings, environ).run())


def check(settings: Settings) -> None:
    """Raises SettingsError."""
    given = f"--processes {settings.processes}"
    if settings.ledger_url.startswith("sqlite"):
        raise SettingsError(
            f"{given}: a ledger on SQLite has one worker process; leave it out, or let"
            " BOTRIX_LEDGER_URL name a PostgreSQL"
        )
    if sys.platform != "linux":
        raise SettingsError(f"{given} needs Linux; start several workers instead")
    if settings.metrics_port + settings.processes - 1 > 65_535:
        raise SettingsError(
            f"{given}: there are not so many ports from BOTRIX_METRICS_PORT={settings.metrics_port}"
            " on; choose a lower one"
        )


class Crew:
    """environ: what the processes are given, but for what is each one's own."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._notifier = Notifier(settings.notify_socket, settings.watchdog)
        numbers = range(1, settings.processes + 1)
        self.members = [Member(settings, n, time.monotonic) for n in numbers]
        self._stopping = asyncio.Event()
        self._hearing: Hearing | None = None
        self._ready = False
        self._word_of = 0.0

    async def run(self) -> int:
        self._hearing = Hearing(self._heard)
        try:
            with self._signals():
                watching = asyncio.create_task(self._watch())
                watching.add_done_callback(lambda _: self._stop())  # whatever it died of
                ends = await asyncio.gather(*(self._keep(one) for one in self.members))
                if not watching.done():
                    watching.cancel()
                elif error := watching.exception():
                    raise error
        finally:
            self._hearing.close()
        _log.info("all worker processes ended", extra={"worker": self._settings.worker_id})
        return max(ends)

    async def _keep(self, one: Member) -> int:
        """Until it need not run any more: 0, or 1 where it could not be kept."""
        assert self._hearing is not None
        code = 0
        while not self._stopping.is_set():
            await one.start(self._environ, self._hearing.address)
            if self._stopping.is_set():
                one.send(signal.SIGTERM)  # the signal came while it was started
            assert one.process is not None
            code = await one.process.wait()
            if code == 0 or self._stopping.is_set():
                break
            pause = None if code > 0 and not self._ready else one.died()
            if pause is None:
                _log.error("%s %s; all are ended for it", one.name, end_of(code))
                one.over = True
                self._stop()
                return 1
            _log.error("%s %s; it is started again in %.1f s", one.name, end_of(code), pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            code = 0
        one.over = True
        if not self._stopping.is_set():
            _log.info("%s ended as it was told to, and stays away", one.name)
            self._tell()
        in_order = code in (0, -signal.SIGTERM)  # this before it could listen
        return 0 if in_order else 1

    def _stop(self) -> None:
        """The first time all drain; each further one is passed on, and makes them hurry."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._notifier.pass_on("STOPPING=1", "STATUS=finishing what is under way")
            loop, within = asyncio.get_running_loop(), self._settings.grace + _PAST_GRACE
            loop.call_later(within, self._send, signal.SIGKILL)
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for one in self.members:
            one.send(number)

    def _heard(self, pid: int, said: dict[str, str]) -> None:
        for one in self.members:
            if one.process is not None and one.process.pid == pid:
                one.hear(said)
                self._tell()

    def _tell(self) -> None:
        """The service manager: ready once all are, and alive as long as all are."""
        there = [one for one in self.members if not one.over]
        if not there or not all(one.silence < _QUIET for one in there):
            return
        lines = ["WATCHDOG=1"]
        if not self._stopping.is_set():
            lines.append("STATUS=" + "; ".join(one.status for one in there))
            if patience := max((one.patience for one in there), key=len):
                lines.append(f"EXTEND_TIMEOUT_USEC={patience}")
            if not self._ready and all(one.ready for one in there):
                self._ready = True
                lines.insert(0, "READY=1")
                _log.info("%d worker processes are ready", len(there))
        self._notifier.pass_on(*lines)

    async def _watch(self) -> None:
        """One that hangs is ended, where a watchdog was asked for: it says where, and is started
        again. And the word that `botrix health` looks for is as old as that of the oldest."""
        while True:
            await asyncio.sleep(_LOOK)
            for one in () if self._stopping.is_set() else self.members:  # the grace bounds an end
                if one.running and not one.condemned and one.silence >= 1:
                    _log.error("%s has not been heard of for too long; it is ended", one.name)
                    one.condemned = True
                    one.send(signal.SIGABRT)
                    asyncio.get_running_loop().call_later(_TRACEBACK, _kill, one, one.process)
            self._leave_word()

    def _leave_word(self) -> None:
        file, there = self._settings.health_file, [one for one in self.members if not one.over]
        fresh = [at for one in there if (at := one.fresh()) is not None]
        if file is None or not fresh or len(fresh) < len(there):
            return
        if self._word_of == min(fresh):
            return
        self._word_of = min(fresh)
        said = {"status": "; ".join(one.status for one in there), "processes": len(there)}
        leave_word(file, json.dumps(said))
        with contextlib.suppress(OSError):
            os.utime(file, (min(fresh), min(fresh)))

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Afterwards they are ignored, as by a single worker (see daemon.py)."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._stop))
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)


def _kill(one: Member, process: object) -> None:
    if one.process is process:
        one.send(signal.SIGKILL)
