"""One pump: take entries from the line, claim their accounts in the ledger, settle the taken list.

While the line is down the pump fetches from the ledger instead. A settle whose answer was lost is
said again before the next take: the script can tell.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from botrix.errors import LineDown
from botrix.ledger.ledger import Asked, Claim, Ledger, Verdict
from botrix.line.entries import Entry, decode, encode
from botrix.line.events import now
from botrix.line.line import Back, Line, Rejected, Taken
from botrix.model import NewJob, Source
from botrix.traceparent import read
from botrix.worker.claiming import Claiming
from botrix.worker.desk import Desk
from botrix.worker.events import update
from botrix.worker.lookout import Lookout

_log = logging.getLogger(__name__)
_LARGEST_TAKE = 500
_SHARED_TAKE = 128
_SMALL_TAKE = 16
_MANY = 1 << 30
_PASSED_BY = 0.25
_SAME = 1.0
PUMPS = (1, 2)


@dataclass(slots=True)
class _Settle:
    back: list[Back]
    rejected: list[Rejected]


class Rush:
    """What the pumps of a session find, for who looks after those behind. on: the line may hold
    more than they take; or (passing) they take nothing, since whose turn it is has its share."""

    def __init__(self) -> None:
        self.on = asyncio.Event()
        self.passing = False
        self.lookout = Lookout()
        self._said: float = -math.inf

    def without_line(self, error: LineDown) -> None:
        """Said once, for all of them find it down at the same time."""
        now = time.monotonic()
        if now > self._said + _SAME:
            _log.warning("working without the line: %s", error)
        self._said = now

    def note(self, *, full: bool, passing: bool) -> None:
        self.passing = passing
        if full or passing:
            self.on.set()
        else:
            self.on.clear()


class Pump:
    """interval: seconds to wait where nothing could be claimed; a wake-up comes from `wait`."""

    interval = 0.05

    def __init__(
        self,
        number: int,
        claiming: Claiming,
        ledger: Ledger,
        line: Line,
        desk: Desk,
        tries: int,
    ) -> None:
        self.name = f"pump-{number}"
        self._number = str(number)
        self._session = claiming.session
        self._claiming = claiming
        self._ledger = ledger
        self._line = line
        self._desk = desk
        self._tries = tries
        self._unsettled: _Settle | None = None
        self._accounts_per_entry = 1.0
        self._most = _LARGEST_TAKE
        self.accept_raw = True
        self.rush = Rush()  # replaced by one that all pumps of a session share

    async def tick(self) -> bool:
        """One turn. True where something was claimed."""
        try:
            return await self._turn()
        except BaseException:
            self.rush.lookout.resign(self.name)
            raise

    async def _turn(self) -> bool:
        if self._claiming.in_doubt:
            await self._look_what_is_held()
        await self._desk.has_room()
        if self._desk.quiet:
            await self._rest()
            return True
        if self._line.up:
            try:
                return await self._turn_with_line()
            except LineDown as error:
                self.rush.without_line(error)
        return await self._turn_without_line()

    async def _rest(self) -> None:
        """Puts down what was taken, so that others find it, until the desk takes again."""
        if self._unsettled is not None and self._line.up:
            pending = self._unsettled
            await self._line.settle(self._session, self._number, pending.back, pending.rejected)
            self._unsettled = None
        await self._desk.takes_again()

    def _look_at_fewer(self, claim: Claim) -> bool:
        """Whether nothing could be leased since the directories of these jobs have their share.
        Such jobs are passed by in small numbers and slowly, for each costs a new place."""
        full = bool(claim.rulings) and not claim.accounts
        full = full and all(r.back is not None or r.verdict is Verdict.OVER for r in claim.rulings)
        self._most = _SMALL_TAKE if full else _LARGEST_TAKE
        return full

    async def _look_what_is_held(self) -> None:
        await self._claiming.look_what_is_held()
        self._most = _LARGEST_TAKE

    async def _turn_with_line(self) -> bool:
        n = self._take_size()
        taken = await self._take(n)
        if not taken:
            self.rush.note(full=False, passing=False)
            await self.rush.lookout.wait(self.name, self._line.wait, 5.0)
            return True
        if len(taken) >= n:
            self.rush.lookout.call()
        asked, rejected = self._read(taken)
        claim = await self._claim([entry for _, entry in asked])
        backs = self._rulings(asked, claim, rejected)
        self._claiming.measures.rejected += len(rejected)
        self._unsettled = _Settle(backs, rejected)
        await self._publish(claim)
        passing = self._look_at_fewer(claim)
        self.rush.note(full=len(taken) >= n, passing=passing)
        if passing:
            self.rush.lookout.call()
            await self._desk.eased(_PASSED_BY)
        return True

    async def _take(self, n: int) -> list[Taken]:
        if self._unsettled is None:
            return await self._line.take(self._session, self._number, n)
        pending = self._unsettled
        taken = await self._line.settle_and_take(
            self._session, self._number, pending.back, pending.rejected, n
        )
        self._unsettled = None
        return taken

    def _take_size(self) -> int:
        """As many entries as there is room for, judged by what the last ones brought; fewer where
        there are several tenants, since one waits for what is taken of another."""
        room = self._desk.room(_MANY).total
        most = min(self._most, _SHARED_TAKE) if self._desk.several_tenants else self._most
        return max(1, min(most, int(room / self._accounts_per_entry)))

    def _read(self, taken: Sequence[Taken]) -> tuple[list[tuple[Taken, Asked]], list[Rejected]]:
        good: list[tuple[Taken, Asked]] = []
        bad: list[Rejected] = []
        seen: dict[str, Entry] = {}
        for one in taken:
            entry = decode(one.raw)
            if isinstance(entry, str):
                bad.append(Rejected(one.raw, entry))
            elif entry.place is None and not self.accept_raw:
                bad.append(Rejected(one.raw, "raw entries are switched off"))
            elif entry.id not in seen:
                seen[entry.id] = entry
                good.append((one, self._asked(entry, one)))
            elif entry.place is None and not entry.same_job(seen[entry.id]):
                bad.append(Rejected(one.raw, "the id belongs to another job; choose a new id"))
        return good, bad

    def _asked(self, entry: Entry, taken: Taken) -> Asked:
        if entry.place is not None:
            return Asked(entry.id, entry.place)
        job = NewJob(
            entry.id, entry.count or 1, Source.RAW, taken.lane, entry.directory or "local",
            entry.template, tries=self._tries, traceparent=read(entry.traceparent),
        )  # fmt: skip
        return Asked(entry.id, raw=job)

    async def _claim(self, asked: list[Asked]) -> Claim:
        claim = await self._claiming.claim(asked)
        if asked:
            self._accounts_per_entry = max(1.0, len(claim.accounts) / len(asked))
        return claim

    def _rulings(
        self, asked: Sequence[tuple[Taken, Asked]], claim: Claim, rejected: list[Rejected]
    ) -> list[Back]:
        backs: list[Back] = []
        for (taken, _), ruling in zip(asked, claim.rulings, strict=True):
            match ruling.verdict:
                case Verdict.TAKEN if ruling.back is not None:
                    backs.append(Back(ruling.lane, encode(ruling.id, ruling.back), head=False))
                case Verdict.OVER:
                    backs.append(Back(taken.lane, taken.raw, head=True))
                case Verdict.LOCKED:
                    backs.append(Back(taken.lane, taken.raw, head=False))
                case Verdict.REJECTED:
                    rejected.append(Rejected(taken.raw, ruling.reason))
                case _:
                    pass
        return backs

    async def _publish(self, claim: Claim) -> None:
        if claim.started:
            await asyncio.sleep(0)  # the hands begin before it is told
            at = now()
            await self._line.publish([update(job, at=at) for job in claim.started])

    async def _turn_without_line(self) -> bool:
        self.rush.lookout.call()
        n = self._take_size()
        placed = await self._ledger.fetch(n)
        claim = await self._claim([Asked(job.id, job.place) for job in placed])
        passing = bool(placed) and not claim.accounts
        self.rush.note(full=len(placed) >= n, passing=passing)
        if not claim.accounts:
            await asyncio.sleep(0.5)
        return bool(claim.accounts)
