"""The worker process: signals, one session after another, and why it ended."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator

from botrix import process, traces
from botrix.errors import BotrixError, LedgerDown, SessionLost
from botrix.ledger.ledger import Ledger
from botrix.log import set_up
from botrix.notify import Notifier
from botrix.services import Services
from botrix.settings import Settings
from botrix.states import Duty
from botrix.worker.scraped import scraped
from botrix.worker.session import Session
from botrix.worker.stats import Stats
from botrix.worker.word import leave_word

_log = logging.getLogger(__name__)


def main(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT; 0 where it ended in order, 1 where a part failed."""
    set_up(settings, settings.worker_id)
    traces.set_up(settings, "botrix-worker", settings.worker_id)
    faulthandler.enable()  # where a hang was, when the manager's watchdog ends it by SIGABRT
    try:
        return _runner().run(_work(settings))
    except BotrixError as error:
        _log.error("the worker ended: %s", error)
        return 1
    finally:
        traces.close(settings.grace * 0.1)


def _runner() -> asyncio.Runner:
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


async def _work(settings: Settings) -> int:
    stopping, hurry = asyncio.Event(), asyncio.Event()
    notifier = Notifier(settings.notify_socket, settings.watchdog)
    stats, duty = Stats(), Duty.WORK
    with _signals(stopping, hurry):
        async with Services(settings) as services, scraped(services, stats.measures) as shown:
            services.directories.first_limit = 0  # the governor gives each its share
            async with notifier.waiting("waiting for the ledger"):
                await _patiently(services.ledger.ping, settings, stopping)
                worker_id = await _own_id(services.ledger, settings.worker_id, stopping)
            process.begun()
            while not stopping.is_set():
                session = Session(services, worker_id, stats, notifier, duty)
                async with notifier.waiting("waiting for the ledger"):
                    if not await _patiently(session.open, settings, stopping):
                        break
                shown.session = session
                notifier.ready(f"{worker_id}: session {session.id}")
                try:
                    await session.run(stopping)
                except SessionLost as error:
                    _log.warning("session lost: %s", error, extra={"session": session.id})
                    await session.abandon()
                    shown.session, stats.measures.lost = None, stats.measures.lost + 1
                    duty = session.orders.duty
                    continue
                except Exception:
                    _log.error("the worker ends, since a part of it failed", exc_info=True)
                    await session.abandon()
                    return 1
                async with notifier.stopping("finishing what is under way"):
                    await session.drain(settings.grace, hurry)
    _log.info("worker ended", extra={"worker": settings.worker_id})
    return 0


async def _patiently(
    ask: Callable[[], Awaitable[None]], settings: Settings, stopping: asyncio.Event
) -> bool:
    """Waits for the ledger for ever, also for its migration: a worker never needs a restart.
    Says once why it waits. False: it is to end."""
    said = ""
    while not stopping.is_set():
        try:
            await ask()
        except LedgerDown as error:
            if str(error) != said:
                said = str(error)
                _log.warning("waiting for the ledger: %s", error)
            leave_word(settings.health_file, '{"status": "waiting for the ledger"}')
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), 1.0)
        else:
            return True
    return False


async def _own_id(ledger: Ledger, wanted: str, stopping: asyncio.Event) -> str:
    """A second live worker of an id gets a suffix; a dead one of this host is declared lost."""
    while not stopping.is_set():
        try:
            peers = await ledger.peers()
        except LedgerDown:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), 1.0)
            continue
        taken = set()
        for peer in peers:
            if peer.host == socket.gethostname() and not _alive(peer.pid):
                await ledger.mark_lost(peer.id, peer.beat)
            else:
                taken.add(peer.worker_id)
        if wanted not in taken:
            return wanted
        number = next(n for n in range(2, 10_000) if f"{wanted}-{n}" not in taken)
        _log.warning("worker id %s is in use; this one is %s-%d", wanted, wanted, number)
        return f"{wanted}-{number}"
    return wanted


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # an earlier life of a container's process 1
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _signals(stopping: asyncio.Event, hurry: asyncio.Event) -> Iterator[None]:
    """The first signal drains, the second hands back at once. Afterwards they are ignored: one that
    came while the interpreter ends would kill it, and an end in order would look like a crash.
    (The loop's own handlers are not used: taking them off leaves the default for a moment, and a
    mask of this thread leaves every other thread to be struck.)"""
    loop = asyncio.get_running_loop()

    def heard() -> None:
        (hurry if stopping.is_set() else stopping).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(heard))
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
