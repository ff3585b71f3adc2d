"""The accounts that a worker holds, and the hands that create them: per directory a queue and as
many long-lived coroutines as the directory bears calls at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter, defaultdict, deque
from collections.abc import Coroutine, Sequence
from typing import Any

from botrix.creators.creator import Creator, Wanted
from botrix.errors import BotrixError, LedgerDown
from botrix.ledger.ledger import Room
from botrix.model import AccountStatus, LeasedAccount, Outcome, OutcomeKind, Result
from botrix.retry import Backoff, decide
from botrix.sealing import Sealer
from botrix.services import Directories
from botrix.worker.attempt import attempt
from botrix.worker.recorder import Recorder

_log = logging.getLogger(__name__)
_Key = tuple[str, str]


class Desk:
    """Holds accounts from their claim until their result is recorded (`released`)."""

    def __init__(
        self,
        directories: Directories,
        sealer: Sealer,
        backoff: Backoff,
        capacity: int,
        rng: random.Random,
    ) -> None:
        self._directories = directories
        self._sealer = sealer
        self._backoff = backoff
        self._rng = rng
        self._queues: dict[_Key, deque[LeasedAccount]] = defaultdict(deque)
        self._awake: dict[_Key, asyncio.Event] = {}
        self._hands: list[asyncio.Task[None]] = []
        self._under_way: set[LeasedAccount] = set()
        self._changed = asyncio.Event()
        self._failed: asyncio.Future[None] | None = None
        self._capacity = capacity
        self._held: dict[tuple[str, int, int], _Key] = {}
        self._held_of: Counter[_Key] = Counter()
        self.recorder: Recorder | None = None

    def room(self, most: int) -> Room:
        """For how many more accounts; one directory leaves a quarter to the others."""
        total = min(most, self._capacity - len(self._held))
        return Room(total, max(1, self._capacity * 3 // 4), self._held_of)

    def add(self, accounts: Sequence[LeasedAccount]) -> None:
        """Those that are held already are left as they are."""
        for account in accounts:
            key = (account.job_id, account.index, account.attempt)
            if key not in self._held:
                self._held[key] = (account.tenant_id, account.directory)
                self._held_of[self._held[key]] += 1
                self._queue(account)

    def released(self, results: Sequence[Result]) -> None:
        for result in results:
            directory = self._held.pop((result.job_id, result.index, result.attempt), None)
            if directory is not None:
                self._held_of[directory] -= 1
        self._changed.set()

    async def has_room(self) -> None:
        while len(self._held) >= self._capacity:
            self._changed.clear()
            await self._changed.wait()

    async def eased(self, within: float) -> None:
        """Until an eighth of what is held is off this worker's hands, or so many seconds."""
        enough = len(self._held) - max(1, self._capacity // 8)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while len(self._held) > enough:
                    self._changed.clear()
                    await self._changed.wait()

    def take_waiting(self) -> list[LeasedAccount]:
        """What nobody began, off the queues: for the end of a session."""
        waiting = [account for queue in self._queues.values() for account in queue]
        self._queues.clear()
        return waiting

    def under_way(self) -> list[LeasedAccount]:
        return list(self._under_way)

    def held(self) -> int:
        return len(self._held)

    def current_job(self) -> str | None:
        """One of the jobs under way, if there is any."""
        return next((account.job_id for account in self._under_way), None)

    async def idle(self) -> None:
        """Until nothing is under way."""
        while self._under_way:
            self._changed.clear()
            await self._changed.wait()

    async def watch(self) -> None:
        """Never returns; raises what a hand died of."""
        self._failed = asyncio.get_running_loop().create_future()
        await self._failed

    async def close(self) -> None:
        for hand in self._hands:
            hand.cancel()
        await asyncio.gather(*self._hands, return_exceptions=True)

    def _queue(self, account: LeasedAccount) -> None:
        key = (account.tenant_id, account.directory)
        self._queues[key].append(account)
        if key not in self._awake:
            self._awake[key] = asyncio.Event()
            self._start(self._open(key))
        self._awake[key].set()

    def _start(self, hand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(hand)
        task.add_done_callback(self._ended)
        self._hands.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None or self._failed is None:
            return
        if not self._failed.done():
            self._failed.set_exception(task.exception() or RuntimeError("a hand ended"))

    async def _open(self, key: _Key) -> None:
        """Opens the directory; while it cannot be used, its accounts are tried again later."""
        while True:
            try:
                creator = await self._directories.creator(*key)
                break
            except LedgerDown:
                await asyncio.sleep(1.0)
            except BotrixError as error:
                batch = await self._next(key, 500)
                outcome = Outcome(OutcomeKind.RETRY, reason="directory", detail=str(error))
                self._finish(batch, [outcome] * len(batch))
        for _ in range(creator.concurrency):
            self._start(self._hand(key, creator))

    async def _hand(self, key: _Key, creator: Creator) -> None:
        while True:
            await self._work(creator, await self._next(key, creator.batch))

    async def _next(self, key: _Key, limit: int) -> list[LeasedAccount]:
        while not self._queues[key]:
            self._awake[key].clear()
            await self._awake[key].wait()
        queue = self._queues[key]
        return [queue.popleft() for _ in range(min(limit, len(queue)))]

    async def _work(self, creator: Creator, batch: list[LeasedAccount]) -> None:
        self._under_way.update(batch)
        try:
            wanted = [self._wanted(account) for account in batch]
            outcomes = await attempt(creator, batch, wanted)
        except BotrixError as error:
            _log.warning("a batch was not created: %s", error)
            outcomes = [Outcome(OutcomeKind.UNKNOWN, reason="error", detail=str(error))] * len(
                batch
            )
        self._finish(batch, outcomes)

    def _wanted(self, account: LeasedAccount) -> Wanted:
        password = self._sealer.unseal(account.sealed, account.tenant_id, account.tag)
        return Wanted(account.tag, account.person, password, account.unguessable)

    def _finish(self, batch: list[LeasedAccount], outcomes: Sequence[Outcome]) -> None:
        assert self.recorder is not None
        pairs = zip(batch, outcomes, strict=True)
        self.recorder.put([decide(a, o, self._backoff, self._rng) for a, o in pairs])
        self._under_way.difference_update(batch)
        self._changed.set()


def cut_short(account: LeasedAccount, begun: bool) -> Result:
    """How an account goes back uncounted at the end of a session."""
    status = AccountStatus.UNSURE if begun or account.find_first else AccountStatus.PLANNED
    return Result(account.job_id, account.index, account.attempt, status, counted=False)
