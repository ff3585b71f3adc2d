"""The accounts that a worker holds, and the hands that create them: per directory a queue and as
many long-lived coroutines as the directory bears calls at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any

from botrix.creators.creator import Creator, Wanted
from botrix.creators.gate import Gate
from botrix.errors import BotrixError, LedgerDown
from botrix.ledger.ledger import Room
from botrix.model import LeasedAccount, Outcome, OutcomeKind, Result
from botrix.retry import Backoff, cut_short, decide
from botrix.sealing import Sealer
from botrix.services import Directories
from botrix.worker.looking import ThoseOf
from botrix.worker.measures import Measures
from botrix.worker.names import not_existing, taken
from botrix.worker.parts import cancelled
from botrix.worker.recorder import Recorder
from botrix.worker.staged import Means, as_staged
from botrix.worker.traced import attempt_at
from botrix.worker.wanted import wanted_of

_log = logging.getLogger(__name__)
_Key = tuple[str, str]
_CREATED = OutcomeKind.CREATED
_DONE = (OutcomeKind.CREATED, OutcomeKind.LOOKED)
_NAMES = 8
"""So many new names are tried before an account fails."""

Rename = Callable[[LeasedAccount], Awaitable[LeasedAccount]]


class Desk:
    """Holds accounts from their claim until their result is recorded (`released`)."""

    def __init__(
        self,
        directories: Directories,
        sealer: Sealer,
        backoff: Backoff,
        capacity: int,
        rename: Rename,
        those_of: ThoseOf,
        rng: random.Random,
    ) -> None:
        self._directories = directories
        self._sealer = sealer
        self._backoff = backoff
        self._rng = rng
        self._queues: dict[_Key, deque[LeasedAccount]] = defaultdict(deque)
        self._awake: dict[_Key, asyncio.Event] = {}
        self._must_change: set[_Key] = set()
        self._hands: list[asyncio.Task[None]] = []
        self._at_work: Counter[_Key] = Counter()
        self._under_way: set[LeasedAccount] = set()
        self._changed = asyncio.Event()
        self._failed: asyncio.Future[None] | None = None
        self._capacity = capacity
        self._rename = rename
        self._those_of = those_of
        self._paused = self.reserved = self.quiet = False
        self.several_tenants = False
        self.sure: Callable[[], bool] = lambda: True  # replaced by the session's watch
        self.measures = Measures()  # replaced by the worker's
        self._held: dict[tuple[str, int, int], tuple[_Key, float]] = {}
        self._held_of: Counter[_Key] = Counter()
        self.recorder: Recorder | None = None

    def room(self, most: int, part: float = 1.0) -> Room:
        """For how many more accounts, or a part of these; one directory leaves a quarter to the
        others, and so does one tenant where there are several. For none while the desk is reserved
        for one account alone, or is to take no more."""
        free = 0 if self.reserved or self.quiet else self._capacity - len(self._held)
        total = min(most, math.ceil(free * part))
        share = max(1, self._capacity * 3 // 4)
        return Room(total, share, self._held_of, share if self.several_tenants else 1 << 30)

    def add(self, accounts: Sequence[LeasedAccount]) -> None:
        """Those that are held already are left as they are."""
        since = time.monotonic()
        for account in accounts:
            key = (account.job_id, account.index, account.attempt)
            if key not in self._held:
                self._held[key] = held = (self._queue(account), since)
                self._held_of[held[0]] += 1

    def released(self, results: Sequence[Result]) -> None:
        for result in results:
            held = self._held.pop((result.job_id, result.index, result.attempt), None)
            if held is not None:
                self._held_of[held[0]] -= 1
        self._changed.set()

    async def has_room(self) -> None:
        """Or is to take no more: look at `quiet`."""
        while not self.quiet and (self.reserved or len(self._held) >= self._capacity):
            await self._change()

    def take_no_more(self) -> None:
        """What is held is finished; nothing is claimed until `take_again`."""
        self.quiet = True
        self._changed.set()

    def take_again(self) -> None:
        self.quiet = False
        self._changed.set()

    async def takes_again(self) -> None:
        while self.quiet:
            await self._change()

    async def emptied(self) -> None:
        """Until nothing is held; reserve the desk before, or it may never be."""
        while self._held:
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def reserve(self) -> None:
        """Nothing is claimed until `open_again`."""
        self.reserved = True

    def open_again(self) -> None:
        self.reserved = False
        self._changed.set()

    async def eased(self, within: float) -> None:
        """Until an eighth of what is held is off this worker's hands, or so many seconds."""
        enough = len(self._held) - max(1, self._capacity // 8)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while len(self._held) > enough:
                    await self._change()

    def pause(self) -> None:
        """No new calls until `resume`; those under way go on."""
        self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            for awake in self._awake.values():
                awake.set()

    def wake(self, key: _Key) -> None:
        """Its gate lets others through than before."""
        if key in self._awake:
            self._awake[key].set()

    def hand_back_waiting(self, key: _Key | None = None) -> None:
        """What nobody began, of one directory or all, uncounted: for a peer, or for later."""
        queues = list(self._queues.values()) if key is None else [self._queues[key]]
        waiting = [account for queue in queues for account in queue]
        for queue in queues:
            queue.clear()
        self._hand_back(waiting, begun=False)

    def waiting_for(self, seconds: float) -> set[str]:
        """Jobs of accounts that nobody began yet, of directories whose next one waits that long."""
        before, jobs = time.monotonic() - seconds, set[str]()
        for queue in self._queues.values():
            if queue and self._held_since(queue[0]) <= before:
                jobs.update(account.job_id for account in queue)
        return jobs

    def hand_back_waiting_of(self, jobs: Collection[str]) -> None:
        """Like `hand_back_waiting`, of these jobs, but for what is only to be found."""
        for queue in self._queues.values():
            meant = [one for one in queue if one.job_id in jobs and not one.find_only]
            if meant:
                kept = [one for one in queue if one.job_id not in jobs or one.find_only]
                queue.clear()
                queue.extend(kept)
                self._hand_back(meant, begun=False)

    def _held_since(self, account: LeasedAccount) -> float:
        return self._held[account.job_id, account.index, account.attempt][1]

    def hand_back_under_way(self) -> None:
        """What was begun is in doubt; close the desk before."""
        self._hand_back(list(self._under_way), begun=True)

    def _hand_back(self, accounts: list[LeasedAccount], *, begun: bool) -> None:
        assert self.recorder is not None
        self.recorder.put([cut_short(account, begun) for account in accounts])

    def held(self) -> int:
        return len(self._held)

    def oldest(self) -> float:
        """For how many seconds it has held what it has held longest; 0 where that is nothing."""
        now = time.monotonic()
        return now - next((since for _, since in self._held.values()), now)

    def held_of(self, key: _Key) -> int:
        """Of one directory, by tenant and name."""
        return self._held_of[key]

    def current_job(self) -> str | None:
        """One of the jobs under way, if there is any."""
        return next((account.job_id for account in self._under_way), None)

    async def idle(self) -> None:
        """Until nothing is under way."""
        while self._under_way:
            await self._change()

    async def watch(self) -> None:
        """Never returns; raises what a hand died of."""
        self._failed = asyncio.get_running_loop().create_future()
        await self._failed

    async def close(self) -> None:
        hands, self._hands = self._hands, []
        await cancelled(hands)

    def _queue(self, account: LeasedAccount) -> _Key:
        key = (account.tenant_id, account.directory)
        self._queues[key].append(account)
        if key not in self._awake:
            self._awake[key] = asyncio.Event()
            self._start(self._open(key))
        self._awake[key].set()
        if not self._directories.gate(*key).limit:
            self._directories.alarm.set()
        return key

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
                self._cannot_open(key, batch, error)
        if self._directories.must_change(*key):
            self._must_change.add(key)
        for _ in range(creator.concurrency):
            self._start(self._hand(key))
        self._directories.alarm.set()

    async def _hand(self, key: _Key) -> None:
        gate = self._directories.gate(*key)
        while True:
            await self._until(lambda: self._may_begin(key, gate), key)
            self._at_work[key] += 1
            try:
                await self._turn(key, gate)
            finally:
                self._at_work[key] -= 1
                if self._queues[key]:
                    self._awake[key].set()

    async def _turn(self, key: _Key, gate: Gate) -> None:
        try:
            creator = await self._directories.creator(*key)
        except BotrixError as error:  # it was opened before: its settings have changed
            self._cannot_open(key, self._some(key, 500), error)
            return
        await self._work(creator, self._some(key, creator.batch), gate)

    def _cannot_open(self, key: _Key, batch: list[LeasedAccount], error: BotrixError) -> None:
        """Nothing was tried; the governor pauses the directory until its settings are mended."""
        gate = self._directories.gate(*key)
        gate.unusable(str(error))
        outcome = Outcome(OutcomeKind.RETRY, None, "directory", str(error), counted=False)
        self._finish(batch, batch, [outcome] * len(batch), gate.counts)

    async def _next(self, key: _Key, limit: int) -> list[LeasedAccount]:
        await self._until(lambda: not self._must_wait() and bool(self._queues[key]), key)
        return self._some(key, limit)

    async def _until(self, is_so: Callable[[], bool], key: _Key) -> None:
        while not is_so():
            self._awake[key].clear()
            await self._awake[key].wait()

    def _some(self, key: _Key, limit: int) -> list[LeasedAccount]:
        queue = self._queues[key]
        return [queue.popleft() for _ in range(min(limit, len(queue)))]

    def _may_begin(self, key: _Key, gate: Gate) -> bool:
        """No more hands than the gate lets calls through, and one that prepares the next."""
        governed = gate.governed and gate.gated
        allowed = not governed or (gate.limit > 0 and self._at_work[key] <= gate.limit)
        return allowed and not self._must_wait() and bool(self._queues[key])

    def _must_wait(self) -> bool:
        if not self.sure():
            self.pause()  # the watch resumes it
        return self._paused

    async def _work(self, creator: Creator, begun: list[LeasedAccount], gate: Gate) -> None:
        batch = begun
        self._under_way.update(begun)
        with attempt_at(begun) as told:
            try:
                outcomes = await self._attempt(creator, batch)
                batch = await self._under_new_names(creator, batch, outcomes)
            except BotrixError as error:
                _log.warning("%d accounts were not created yet: %s", len(batch), error)
                failed = Outcome(OutcomeKind.UNKNOWN, reason="error", detail=str(error))
                outcomes = [failed] * len(batch)
            told.came_to(batch, outcomes)
        gate.did(sum(outcome.kind in _DONE for outcome in outcomes))
        self._finish(begun, batch, outcomes, gate.counts)

    async def _under_new_names(
        self, creator: Creator, batch: list[LeasedAccount], outcomes: list[Outcome]
    ) -> list[LeasedAccount]:
        """A generated name that somebody has gives way to a new one, which is committed before it
        is tried. The accounts as they are then called; `outcomes` is changed with them."""
        if all(outcome.kind is _CREATED for outcome in outcomes):
            return batch
        for _ in range(_NAMES):
            gone = [n for n, a in enumerate(batch) if taken(a, outcomes[n])]
            if not gone:
                break
            batch = list(batch)
            for n in gone:
                batch[n] = await self._rename(batch[n])
            again = [batch[n] for n in gone]
            tried = await self._attempt(creator, again)
            for n, outcome in zip(gone, tried, strict=True):
                outcomes[n] = outcome
        outcomes[:] = [not_existing(a, o) for a, o in zip(batch, outcomes, strict=True)]
        return batch

    async def _attempt(self, creator: Creator, batch: Sequence[LeasedAccount]) -> list[Outcome]:
        """An account whose password cannot be had keeps none of its batch from being tried."""
        asked = [
            wanted_of(one, self._sealer, (one.tenant_id, one.directory) in self._must_change)
            for one in batch
        ]
        wanted = [one for one in asked if isinstance(one, Wanted)]
        means = Means(self._directories, self._those_of, self.sure, self.measures)
        if len(wanted) == len(batch):
            return await as_staged(means, creator, batch, wanted)
        able = [n for n, one in enumerate(asked) if isinstance(one, Wanted)]
        tried = await as_staged(means, creator, [batch[n] for n in able], wanted)
        outcomes = dict(zip(able, tried, strict=True))
        return [outcomes[n] if isinstance(one, Wanted) else one for n, one in enumerate(asked)]

    def _finish(
        self,
        begun: list[LeasedAccount],
        batch: list[LeasedAccount],
        outcomes: Sequence[Outcome],
        counts: bool | None,
    ) -> None:
        assert self.recorder is not None
        pairs = zip(batch, outcomes, strict=True)
        self.recorder.put([decide(a, o, self._backoff, self._rng, counts) for a, o in pairs])
        self._under_way.difference_update(begun)
        self._changed.set()
