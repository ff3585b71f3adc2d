"""One session: one life of a worker process, with all its parts. Accounts are leased to it."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import socket
import time
from collections.abc import Coroutine
from typing import Any

import msgspec

from botrix import __version__
from botrix.errors import LedgerDown, LineDown, SessionLost
from botrix.extra import in_groups
from botrix.ledger.keeping import Rule
from botrix.line.line import Placing
from botrix.model import LeasedAccount
from botrix.notify import Notifier
from botrix.retry import Backoff
from botrix.services import Services
from botrix.states import Duty
from botrix.webhooks.said import SendsLater
from botrix.worker.claiming import Claiming
from botrix.worker.courier import Courier
from botrix.worker.desk import Desk
from botrix.worker.dispatcher import Dispatcher
from botrix.worker.governor import Governor
from botrix.worker.heartbeat import Heartbeat
from botrix.worker.keeper import Keeper
from botrix.worker.orders import Orders
from botrix.worker.parts import Part, cancelled, run
from botrix.worker.peers import Peers
from botrix.worker.prober import Prober
from botrix.worker.pulse import Pulse
from botrix.worker.pump import PUMPS, Pump, Rush
from botrix.worker.recall import Recall
from botrix.worker.reconciler import Reconciler
from botrix.worker.recorder import Recorder
from botrix.worker.shares import Shares
from botrix.worker.solitary import Solitary
from botrix.worker.stats import Stats
from botrix.worker.tally import Tally
from botrix.worker.watch import Watch

_log = logging.getLogger(__name__)
_CLAIMING = ("pump", "shares", "solitary", "reconciler")


class Session:
    """Builds the parts of one session, runs them, and ends it in order."""

    def __init__(
        self,
        services: Services,
        worker_id: str,
        stats: Stats,
        notifier: Notifier,
        duty: Duty = Duty.WORK,
    ) -> None:
        """duty: what was wanted of this worker's session before, if there was one."""
        settings = services.settings
        self.id = f"s{secrets.token_hex(8)}"
        self.worker_id = worker_id
        self._services = services
        self._stats = stats
        self._notifier = notifier
        self._rng = random.Random()  # noqa: S311  jitter is no secret
        self._ledger, self._line = services.ledger, services.line
        backoff = Backoff(settings.backoff_base, settings.backoff_cap)
        self._desk = Desk(
            services.directories,
            services.sealer,
            backoff,
            settings.capacity,
            self._rename,
            self._ledger.those_of,
            self._rng,
        )
        self._recorder = Recorder(self.id, self._ledger, self._line, stats, self._desk.released)
        self._desk.recorder = self._recorder
        self._desk.measures = stats.measures
        self._claims = asyncio.Lock()
        self.orders = Orders(self._desk, self._claims, duty)
        self._courier = Courier(
            self._ledger,
            services.sealer,
            SendsLater(settings.webhook_timeout),
            self._rng,
            settings.webhook_timeout,
        )
        self._pulse: Pulse | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def status(self) -> str:
        """For people."""
        return self.orders.status

    @property
    def unconfirmed(self) -> float:
        """Seconds since the last beat that was answered was sent."""
        return 0.0 if self._pulse is None else time.monotonic() - self._pulse.confirmed

    @property
    def held(self) -> int:
        """How many accounts."""
        return self._desk.held()

    @property
    def oldest(self) -> float:
        """For how many seconds it has held one of them."""
        return self._desk.oldest()

    async def open(self) -> None:
        await self._ledger.ping()  # a schema that is too old would fail this session later
        pid, host = os.getpid(), socket.gethostname()
        wanted = self.orders.duty
        await self._ledger.open_session(self.id, self.worker_id, host, pid, __version__, wanted)
        _log.info("session started", extra={"session": self.id, "worker": self.worker_id})

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`, which it sets itself once it was told to drain and has done so. Raises
        SessionLost where a peer or the lease ended it, and whatever a part died of."""
        for part in self._parts():
            self._start(part.name, run(part, self._rng))
        self._start("desk", self._desk.watch())
        stop = asyncio.create_task(stopping.wait())
        drained = asyncio.create_task(self.orders.drained())
        try:
            ends = [stop, drained, *self._tasks.values()]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            drained.cancel()
        if drained.done() and not drained.cancelled():
            _log.info("drained", extra={"session": self.id, "worker": self.worker_id})
            stopping.set()
        for task in self._tasks.values():
            if task.done():
                task.result()

    async def drain(self, grace: float, hurry: asyncio.Event) -> None:
        """The order of shutdown is important: stop taking; hand back what nobody began, so that
        peers have it at once; finish what is under way; record it; only then end the session, for
        an ended session can record nothing. All of it takes `grace` seconds at most."""
        await self._cancel(*(name for name in self._tasks if name.startswith(_CLAIMING)))
        self._desk.hand_back_waiting()
        await _either(self._desk.idle(), hurry.wait(), grace * 0.7)
        await self._desk.close()
        self._desk.hand_back_under_way()
        await _within(grace * 0.15, self._recorder.emptied(), "recording")
        await self._cancel(*self._tasks)
        await _within(grace * 0.05, self._courier.close(), "what webhooks are told")
        await _within(grace * 0.1, self._end(), "the session's end")

    async def abandon(self) -> None:
        """The session is lost: stop everything at once; nothing of it would be accepted."""
        await self._desk.close()
        await self._cancel(*self._tasks)
        await _within(1.0, self._courier.close(), "what webhooks are told")

    def _parts(self) -> list[Part]:
        settings, ledger, line = self._services.settings, self._ledger, self._line
        lock, rush, tries = self._claims, Rush(), settings.max_retries + 1

        def claiming() -> Claiming:
            made = Claiming(self.id, ledger, self._desk, self._services.plan, lock)
            made.measures = self._stats.measures
            return made

        pumps = [Pump(n, claiming(), ledger, line, self._desk, tries) for n in PUMPS]
        for pump in pumps:
            pump.rush, pump.accept_raw = rush, settings.accept_raw
        describe = self._describe
        self._pulse = pulse = Pulse(self.id, ledger, settings.beat, settings.lease)
        pulse.hear = self.orders.hear
        heartbeat = Heartbeat(
            self.worker_id, line, settings.health_check_interval, describe, settings.health_file
        )
        self.orders.tell = heartbeat.tick
        dispatcher = Dispatcher(ledger, line, min(1.0, settings.lease / 10))
        governor = Governor(self.id, ledger, self._services.directories, self._desk)
        dispatcher.measures = governor.measures = self._stats.measures
        reconciler = Reconciler(self.id, ledger, line, self._services.directories, settings.settled)
        reconciler.quiet = lambda: self._desk.quiet
        return [
            pulse,
            Watch(pulse, self._desk, settings.lease, self._notifier),
            Peers(self.id, ledger, settings.lease),
            dispatcher,
            Solitary(self.id, ledger, self._desk, lock, settings.lease),
            Recall(ledger, self._desk, min(1.0, settings.lease / 10)),
            reconciler,
            Tally(ledger),
            Keeper(ledger, Rule(settings.password_days, settings.retention_days)),
            heartbeat,
            self.orders,
            governor,
            Prober(ledger, self._services.directories, settings.directory_patience),
            self._courier,
            self._recorder,
            Shares(claiming(), ledger, line, self._desk, rush),
            *pumps,
        ]

    def _describe(self) -> dict[str, object]:
        return {
            "worker_id": self.worker_id,
            "session": self.id,
            "status": self.orders.status,
            "held": self._desk.held(),
            **self._stats.summary(),
            "current_job": self._desk.current_job(),
            "version": __version__,
        }

    async def _end(self) -> None:
        await self._ledger.end_session(self.id)
        placed = (await self._ledger.due(500)).placed  # a peer wakes for what was handed back
        if not self._line.up:
            return
        await self._line.give_back([self.id], [str(n) for n in PUMPS])
        await self._line.push([Placing(p.id, p.place, p.lane) for p in placed])
        await self._line.forget_worker(self.worker_id)

    async def _rename(self, account: LeasedAccount) -> LeasedAccount:
        """A new name for a generated account, committed. Raises LedgerDown or SessionLost."""
        planner = self._services.planner
        person, _ = planner.plan_generated(account.template or None, account.index)
        person = in_groups(person, account.person.groups)
        if not await self._ledger.rename(self.id, account, person):
            raise SessionLost(f"the lease on {account.tag} is no longer ours")
        return msgspec.structs.replace(account, person=person, find_first=False)

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[name] = asyncio.create_task(work, name=name)

    async def _cancel(self, *names: str) -> None:
        tasks = [self._tasks.pop(name) for name in list(names) if name in self._tasks]
        await cancelled(tasks)


async def _either(
    first: Coroutine[Any, Any, Any], second: Coroutine[Any, Any, Any], timeout: float
) -> None:
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _within(seconds: float, work: Coroutine[Any, Any, None], what: str) -> None:
    """What does not end in time, or finds its store down, is left to peers: they find it."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except (LedgerDown, LineDown, SessionLost, TimeoutError) as error:
        _log.warning("%s was left to peers: %s", what, error or "no time left")
