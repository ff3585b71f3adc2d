"""Sees to it that a directory is asked as much as it bears, by all workers together, and that its
jobs wait while it cannot be used. The ledger decides (`ledger/governing.py`); here the gates are
read and set.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from botrix.breaker import Window
from botrix.creators.gate import Answered, Gate, Tally
from botrix.ledger.governing import Allowance, Report
from botrix.ledger.ledger import Ledger
from botrix.services import Directories
from botrix.states import DirectoryStatus
from botrix.throttle import Observed
from botrix.worker.desk import Desk
from botrix.worker.measures import Measures

_log = logging.getLogger(__name__)
_Key = tuple[str, str]
_GATHER = 0.02
"""Seconds: one cause for alarm is seldom alone."""
_COUNTS = {
    DirectoryStatus.WORKING: None,
    DirectoryStatus.PAUSED: False,
    DirectoryStatus.TRYING: False,
    DirectoryStatus.GIVEN_UP: True,
}


class Governor:
    """Asks every half second for each directory that this worker uses, more often while its limit
    doubles, and at once where one refuses everything or has no share yet."""

    name = "governor"
    interval = 0.0

    def __init__(self, session: str, ledger: Ledger, directories: Directories, desk: Desk) -> None:
        self._session = session
        self._ledger = ledger
        self._directories = directories
        self._desk = desk
        self.measures = Measures()  # replaced by the worker's
        self._users: set[_Key] = set()
        self._again: dict[_Key, float] = {}

    async def tick(self) -> bool:
        await self._time()
        used = {key: gate for key, gate in self._directories.gates.items() if self._uses(key, gate)}
        self._again = dict.fromkeys(used, 0.5)
        if used:
            reports = [self._report(key, gate) for key, gate in used.items()]
            for key, allowance in zip(
                used, await self._ledger.govern(self._session, reports), strict=True
            ):
                await self._set(key, used[key], allowance)
        return True

    async def _time(self) -> None:
        """Until there is something to ask about, and not before it is time to ask again, but for an
        alarm."""
        alarm = self._directories.alarm
        busy = any(self._uses(*one) for one in self._directories.gates.items())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(
                alarm.wait(), min(self._again.values(), default=0.5) if busy else 60.0
            )
            await asyncio.sleep(_GATHER)
        alarm.clear()

    def _uses(self, key: _Key, gate: Gate) -> bool:
        """Also where it has just stopped, so that its share goes to others and what it saw is told;
        and where it is shut, until it is opened."""
        if not gate.governed:
            return False
        if gate.under_way or gate.waiting or self._desk.held_of(key) or gate.is_shut:
            self._users.add(key)
        return key in self._users or gate.tally.tells

    def _report(self, key: _Key, gate: Gate) -> Report:
        demand = max(gate.under_way + gate.waiting, self._desk.held_of(key))
        if not demand:
            self._users.discard(key)
        tally = gate.taken()
        self.measures.answered(key, tally.answers)
        return Report(*key, demand, gate.most, _observed(tally, gate), _window(tally))

    async def _set(self, key: _Key, gate: Gate, allowance: Allowance) -> None:
        gate.counts = _COUNTS[allowance.status]
        gate.sharers = allowance.sharers
        self._again[key] = allowance.again
        gate.set_limit(allowance.share)
        if allowance.wait:
            gate.hold(allowance.wait)
        if allowance.status is DirectoryStatus.PAUSED:
            self._pause(key, gate, allowance.reason)
        elif gate.is_shut:
            _log.info("directory %s is %s", key[1], allowance.status)
            await self._directories.forget(*key)  # it may have been mended by other settings
            gate.open()
        self._desk.wake(key)

    def _pause(self, key: _Key, gate: Gate, reason: str) -> None:
        if not gate.is_shut:
            _log.warning("directory %s is paused: %s", key[1], reason)
        gate.shut(f"the directory is paused: {reason}")
        self._desk.hand_back_waiting(key)


def _observed(tally: Tally, gate: Gate) -> Observed:
    busy = tally.of(Answered.BUSY, Answered.UNAVAILABLE)
    saturated = tally.waited or tally.most >= gate.limit
    return Observed(tally.operations, tally.seconds, busy, saturated)


def _window(tally: Tally) -> Window:
    fatal = f"{tally.fatal}: {tally.problem}" if tally.fatal else ""
    unavailable = tally.of(Answered.UNAVAILABLE, Answered.AWAY)
    failed = unavailable + tally.of(Answered.FAILED, Answered.BUSY)
    return Window(0.0, tally.changes, failed, unavailable, fatal, tally.problem, tally.after)
