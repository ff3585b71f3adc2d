"""The gate before a directory: every request that a creator makes goes through it.

It lets so many through at once as its limit says, at most so many operations a second, none while
the directory asks for patience, and none while it is shut. It also keeps the tally by which the
worker finds the limit (`worker/governor.py`); by itself it decides nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self

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

    def of(self, *kinds: Answered) -> int:
        return sum(self.answers.get(kind, 0) for kind in kinds)


class Call:
    """One request. `shut` says why it must not be made; say `ended` once it was."""

    __slots__ = ("_began", "_gate", "_operations", "_timed", "after", "shut")

    def __init__(self, gate: Gate, operations: int, timed: bool) -> None:
        self._gate = gate
        self._operations = operations
        self._timed = timed
        self._began: float | None = None
        self.shut = ""
        self.after: float | None = None

    async def __aenter__(self) -> Self:
        self.shut, self.after = await self._gate.enter(self._operations)
        if not self.shut:
            self._began = time.monotonic()
        return self

    def ended(self, how: Answered, after: float | None = None, problem: str = "") -> None:
        """after: seconds that the directory asks to wait."""
        if self._began is not None:
            seconds = time.monotonic() - self._began
            self._began = None
            self._gate.leave(how, seconds, self._operations if self._timed else 0, after, problem)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._began is not None:
            self._began = None
            self._gate.free()  # given up from this side: that tells nothing of the directory


class Gate:
    """limit: calls at once; rate: operations a second, or None; most: what the operator allows of
    all workers together. alarm: set where the tally should be looked at before its time. counts:
    whether what fails uses up a try; None where that is as the outcome says."""

    def __init__(
        self,
        limit: int = FIRST_LIMIT,
        rate: float | None = None,
        alarm: asyncio.Event | None = None,
    ) -> None:
        self.limit = limit
        self.rate = rate
        self.most = MOST
        self.governed = False
        self.counts: bool | None = None
        self.tally = Tally()
        self.alarm = alarm or asyncio.Event()
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._next_at = 0.0
        self._not_before = 0.0
        self._shut = ""

    def call(self, operations: int = 1, *, timed: bool = True) -> Call:
        """Use as `async with gate.call() as call`. timed: it creates or changes something, so that
        its time tells how much the directory bears; one that reads does not."""
        return Call(self, operations, timed)

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
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    def taken(self) -> Tally:
        """The tally so far; a new one is begun."""
        tally, self.tally = self.tally, Tally(most=self._under_way, waited=bool(self._waiting))
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

    async def enter(self, operations: int) -> tuple[str, float | None]:
        """Why the call must not be made and for how many seconds, or "" once there is room."""
        while not self._shut and self._under_way >= self.limit:
            self.tally.waited = True
            if not self.limit:
                self.alarm.set()
            await self._freed()
        if self._shut:
            return self._shut, None
        self._under_way += 1
        try:
            wait = self._wait(operations)
            if wait > LONGEST_PATIENCE:
                self.free()
                return "the directory asks for patience", wait
            if wait > 0:
                await asyncio.sleep(wait)
        except asyncio.CancelledError:
            self.free()
            raise
        self.tally.most = max(self.tally.most, self._under_way)
        return "", None

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

    def _wait(self, operations: int) -> float:
        now = time.monotonic()
        if self._not_before - now > LONGEST_PATIENCE:
            return self._not_before - now
        at = max(now, self._not_before)
        if self.rate:
            at = max(at, self._next_at)
            self._next_at = at + operations / self.rate
        return at - now

    async def _freed(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done():
                self._wake()  # it was our turn, and is now another's
            raise
        finally:
            if not waiter.done():
                self._waiting.remove(waiter)

    def _wake(self) -> None:
        """As many as there is room for, or all where it is shut."""
        room = len(self._waiting) if self._shut else self.limit - self._under_way
        while self._waiting and room > 0:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                room -= 1
