"""The gate before a directory: every request that a creator makes goes through it.

It lets so many through at once as its limit says, at most so many operations a second, none while
the directory asks for patience, and none while it is shut. It also keeps the tally by which the
worker finds the limit (`worker/governor.py`); by itself it decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self

from botrix import traces
from botrix.creators.limits import MOST

LONGEST_PATIENCE = 20.0
"""Seconds to wait with an account in hand; for longer, it is put off instead."""
FIRST_LIMIT = 16
_ALARMING = (3, 20)
"""So many failures are looked at at once."""


class Answered(StrEnum):
    """What came of a request, as far as the directory as a whole is concerned. done: it was
    answered, be it with a refusal of the data. busy: it asks to be asked less. unavailable: it asks
    to come later. failed: an error of the server, or no answer. away: no connection. The rest make
    no sense to repeat before somebody has mended it."""

    DONE = "done"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    AWAY = "away"
    CREDENTIALS = "credentials refused"
    TLS = "TLS failure"
    SETTINGS = "its settings cannot be used"
    MAINTENANCE = "maintenance"


FATAL = frozenset({Answered.CREDENTIALS, Answered.TLS, Answered.MAINTENANCE, Answered.SETTINGS})


@dataclass(slots=True)
class Tally:
    """Since the last look: of what created or changed something, the operations (one for each
    account; a bulk request has many), the calls and their seconds; answers by kind; the most calls
    that were under way, whether any had to wait for the limit, and the longest wait that was asked
    for. fatal: the kind of an answer after which no call makes sense; problem: the last one."""

    operations: int = 0
    changes: int = 0
    seconds: float = 0.0
    answers: dict[Answered, int] = field(default_factory=dict)
    most: int = 0
    waited: bool = False
    after: float = 0.0
    problem: str = ""
    fatal: Answered | None = None
    failed: int = 0

    @property
    def tells(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.answers or self.changes or self.fatal)

    def of(self, *kinds: Answered) -> int:
        return sum(self.answers.get(kind, 0) for kind in kinds)


class Call:
    """One request. `shut` says why it must not be made; say `ended` once it was. span: of it, where
    what it is made for is traced."""

    __slots__ = ("_began", "_gate", "_operations", "_timed", "after", "shut", "span")

    def __init__(self, gate: Gate, operations: int, timed: bool) -> None:
        self._gate = gate
        self._operations = operations
        self._timed = timed
        self._began: float | None = None
        self.shut = ""
        self.after: float | None = None
        self.span = traces.NOTHING

    async def __aenter__(self) -> Self:
        self.shut, self.after = await self._gate.enter(self._operations)
        if not self.shut:
            self._began = self._gate.now()
            if traces.active():
                self.span = traces.span("directory call", kind="client")
                self.span.__enter__()
        return self

    def ended(self, how: Answered, after: float | None = None, problem: str = "") -> None:
        """after: seconds that the directory asks to wait."""
        if self._began is not None:
            seconds = self._gate.now() - self._began
            self._began = None
            if self.span is not traces.NOTHING:
                self._tell(how)
            self._gate.leave(how, seconds, self._operations if self._timed else 0, after, problem)

    def _tell(self, how: Answered) -> None:
        self.span.note({"botrix.answered": how})
        if how is not Answered.DONE:
            self.span.went_wrong(how)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._began is not None:
            self._began = None
            self._gate.free()  # given up from this side: that tells nothing of the directory
        self.span.__exit__(kind, error, trace)


only_looks: ContextVar[bool] = ContextVar("only_looks", default=False)
"""Set while accounts are looked at for a plan."""


class Gate:
    """limit: calls at once of this process; rate: operations a second, of all the workers that
    share it (`sharers`), or None; most: calls at once that the operator allows them. alarm: set
    where the tally should be looked at before its time. counts: whether what fails uses up a try;
    None where that is as the outcome says. governed: a limit is to be found; gated: requests come
    through here. clock: in seconds, as that of the loop."""

    def __init__(
        self,
        limit: int = FIRST_LIMIT,
        rate: float | None = None,
        alarm: asyncio.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self.rate = rate
        self.most = MOST
        self.sharers = 1
        self.governed = False
        self.gated = True
        self.counts: bool | None = None
        self.tally = Tally()
        self.alarm = alarm or asyncio.Event()
        self._under_way = 0
        self._waiting: deque[asyncio.Future[str]] = deque()
        self._pausing: set[asyncio.Future[str]] = set()
        self._clock = clock
        self._next_at = 0.0
        self._not_before = 0.0
        self._shut = ""

    def call(self, operations: int = 1, *, timed: bool = True) -> Call:
        """Use as `async with gate.call() as call`. timed: it creates or changes something, so that
        its time tells how much the directory bears; one that reads does not, unless it is for a
        plan, which does nothing else."""
        return Call(self, operations, timed or only_looks.get())

    @property
    def under_way(self) -> int:
        return self._under_way

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def is_shut(self) -> bool:
        return bool(self._shut)

    def shut(self, reason: str) -> None:
        """Nothing goes through until `open`; who waits is told."""
        self._shut = reason
        for pausing in self._pausing:
            _tell(pausing, reason)
        self._wake()

    def open(self) -> None:
        """After a pause, which waits are no longer of."""
        self._shut, self._not_before = "", 0.0
        self._wake()

    def set_limit(self, limit: int) -> None:
        """0: this worker has no share for now, and waits."""
        self.limit = limit
        self._wake()

    def hold(self, seconds: float) -> None:
        """As the directory asked, maybe another worker."""
        self._not_before = max(self._not_before, self._clock() + seconds)

    def taken(self) -> Tally:
        """The tally so far; a new one is begun."""
        tally, self.tally = self.tally, Tally(most=self._calls, waited=bool(self._waiting))
        return tally

    def busy(self, after: float | None) -> None:
        """Said of a part of what was asked, in an answer that was done with as a whole."""
        self.tally.answers[Answered.BUSY] = self.tally.of(Answered.BUSY) + 1
        if after:
            self.tally.after = max(self.tally.after, after)
            self.hold(after)

    def unusable(self, problem: str) -> None:
        """No call can be made at all."""
        self.governed = True
        self.tally.fatal, self.tally.problem = Answered.SETTINGS, problem
        self.alarm.set()

    def did(self, changes: int) -> None:
        """Of a kind whose requests do not come through here."""
        if self.governed and not self.gated:
            self.tally.changes += changes

    async def enter(self, operations: int) -> tuple[str, float | None]:
        """Why the call must not be made and for how many seconds, or "" once there is room."""
        shut = self._shut or await self._turn()
        if shut:
            return shut, None
        try:
            refusal = await self._patience(operations)
        except BaseException:
            self.free()
            raise
        if refusal[0]:
            self.free()
        else:
            self.tally.most = max(self.tally.most, self._calls)
        return refusal

    def now(self) -> float:
        """By its clock."""
        return self._clock()

    def leave(
        self, how: Answered, seconds: float, operations: int, after: float | None, problem: str
    ) -> None:
        tally = self.tally
        tally.answers[how] = tally.answers.get(how, 0) + 1
        if how is Answered.DONE and operations:
            tally.operations += operations
            tally.changes += 1
            tally.seconds += seconds
        elif how is not Answered.DONE:
            tally.problem = problem or tally.problem
            tally.failed += 1
            if how in FATAL:
                tally.fatal = how
            if how in FATAL or tally.failed in _ALARMING:
                self.alarm.set()
        if after:
            tally.after = max(tally.after, after)
            self.hold(after)
        self.free()

    def free(self) -> None:
        self._under_way -= 1
        self._wake()

    @property
    def _calls(self) -> int:
        """Those that are made, without those that wait for the rate or for the directory's wish."""
        return self._under_way - len(self._pausing)

    async def _turn(self) -> str:
        """Why there is no room, or "" once it is taken. Who came first is first: room is handed to
        him, so that nobody who comes later gets it before he runs."""
        if self._under_way < self.limit:
            self._under_way += 1
            return ""
        self.tally.waited = True
        if not self.limit:
            self.alarm.set()
        waiter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and not waiter.result():
                self.free()  # the room was his, and is now another's
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiter)

    def _wake(self) -> None:
        """As many as there is room for, or all where it is shut."""
        while self._waiting and (self._shut or self._under_way < self.limit):
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._under_way += not self._shut
                waiter.set_result(self._shut)

    async def _patience(self, operations: int) -> tuple[str, float | None]:
        """Waits for the rate and for the directory's wish, which may grow meanwhile; as `enter`."""
        while not self._shut:
            now = self._clock()
            at = max(now, self._not_before, self._next_at if self.rate else now)
            if at - now > LONGEST_PATIENCE:
                return "the directory asks for patience", at - now
            if self.rate:
                self._next_at = at + operations * self.sharers / self.rate
            shut = await self._pause(at - now) if at > now else ""
            if shut or self._not_before <= at:
                return shut, None
        return self._shut, None

    async def _pause(self, seconds: float) -> str:
        """Why it was shut meanwhile, or ""."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[str] = loop.create_future()
        timer = loop.call_later(seconds, _tell, told, "")
        self._pausing.add(told)
        try:
            return await told
        finally:
            timer.cancel()
            self._pausing.discard(told)


def _tell(waiter: asyncio.Future[str], what: str) -> None:
    if not waiter.done():
        waiter.set_result(what)
