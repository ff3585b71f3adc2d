"""A worker that is moved step by step: the real pump, with a desk that only holds accounts.

The machine decides when each step happens, so that anything may come between a take and its claim,
a claim and its settle, a lease and its result. A worker goes on after its session was lost, as a
process does that stood still: nothing that it then says may count.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from botrix.errors import OutcomeUnknown, SessionLost
from botrix.ledger.ledger import Plan, Room
from botrix.line.line import Taken
from botrix.model import SUSPECT, LeasedAccount, Outcome, OutcomeKind, Person, Result
from botrix.retry import Backoff, decide
from botrix.worker.claiming import Claiming
from botrix.worker.pump import PUMPS, Pump, Rush, _Settle
from botrix.worker.shares import Shares
from tests.models.watched_line import AnswerLost, WatchedLine
from tests.models.watched_reads import Watched

_BACKOFF = Backoff(base=4.0, cap=64.0)
_TRIES = 4

Key = tuple[str, int, int]


class Hands:
    """In the place of a desk: what the worker believes it holds. sent: what it has recorded."""

    def __init__(self) -> None:
        self.accounts: dict[Key, LeasedAccount] = {}
        self.sent: list[Result] = []
        self.total = 1
        self.share = self.tenant_share = 1
        self.several_tenants = True
        self.quiet = False

    async def has_room(self) -> None:
        """Whether there is any is drawn."""

    def room(self, most: int, part: float = 1.0) -> Room:
        total = min(most, math.ceil(self.total * part))
        return Room(total, self.share, self.held_of(), self.tenant_share)

    def held_of(self) -> Mapping[tuple[str, str], int]:
        return Counter((a.tenant_id, a.directory) for a in self.accounts.values())

    def add(self, accounts: Sequence[LeasedAccount]) -> None:
        for account in accounts:
            self.accounts.setdefault((*account.key, account.attempt), account)

    def some(self, first: int, many: int) -> list[LeasedAccount]:
        """Up to `many` of what is held, from the one that `first` picks on."""
        held = list(self.accounts.values())
        start = first % len(held) if held else 0
        return (held[start:] + held[:start])[:many]


class StepwisePump(Pump):
    """One pump of one worker, a turn of which is two steps: take, then claim."""

    taken: Sequence[Taken] = ()

    @property
    def owes(self) -> bool:
        """A settle."""
        return self._unsettled is not None

    async def take_step(self) -> None:
        if self._claiming.in_doubt:
            await self._look_what_is_held()
        self.taken = await self._take(self._take_size())

    async def claim_step(self) -> None:
        """Where the answer is lost the entries stay taken, and are taken again."""
        taken, self.taken = self.taken, ()
        if not taken:
            return
        asked, rejected = self._read(taken)
        claim = await self._claim([entry for _, entry in asked])
        self._unsettled = _Settle(self._rulings(asked, claim, rejected), rejected)
        await self._publish(claim)

    async def settle_step(self, line: WatchedLine, *, reaches: bool) -> None:
        """At the end of a session; reaches: False where the answer is lost."""
        if self._unsettled is None:
            return
        both = (self._unsettled.back, self._unsettled.rejected)
        if reaches:
            await line.settle(self._session, self._number, *both)
            self._unsettled = None
        else:
            await line.half(self._session, self._number, *both)


class Worker:
    """One session with its pumps. `solitary`: holds a suspect, beside which it claims nothing."""

    def __init__(self, session: str, ledger: Watched, line: WatchedLine, plan: Plan) -> None:
        self.session = session
        self.ledger = ledger
        self.line = line
        self.hands = Hands()
        desk: Any = self.hands
        lock, rush = asyncio.Lock(), Rush()
        self.claiming = [
            Claiming(session, as_ledger(ledger), desk, plan, lock) for _ in range(len(PUMPS) + 1)
        ]
        pumps = [
            StepwisePump(n, claiming, as_ledger(ledger), line, desk, _TRIES)
            for n, claiming in zip(PUMPS, self.claiming, strict=False)
        ]
        self.shares = Shares(self.claiming[-1], as_ledger(ledger), line, desk, rush)
        self.rush = rush
        self.pumps = dict(zip(PUMPS, pumps, strict=True))
        self.both = pumps

    @property
    def solitary(self) -> bool:
        return any(
            account.crashes >= SUSPECT for _, account in self.ledger.expected.held(self.session)
        )

    async def take(self, pump: int, n: int, *, lost: bool = False) -> None:
        """Up to n entries, after the settle of those before; lost: no answer came. Who takes has
        learnt before what it holds, also where a claim was not answered."""
        self.pumps[pump]._most = n
        self.hands.total = n
        self.line.lose = lost
        try:
            await self.pumps[pump].take_step()
        except AnswerLost:
            assert lost
        self.line.lose = False
        if not any(one.in_doubt for one in self.claiming):
            held = self.ledger.expected.held(self.session)
            leases = {(job.new.id, account.index, account.attempt) for job, account in held}
            assert leases <= set(self.hands.accounts), "it holds what it does not know of"

    async def claim(self, pump: int, total: int, share: int, *, lost: bool = False) -> None:
        """What was taken last; lost: it was committed, and no answer came."""
        self.hands.total = 0 if self.solitary else total
        self.hands.share = share
        self.hands.tenant_share = share + 1
        self.ledger.lose = lost
        try:
            await self.pumps[pump].claim_step()
        except SessionLost:
            assert not self.ledger.expected.live(self.session)
        except OutcomeUnknown:
            assert lost
        self.ledger.lose = False

    async def look_behind(
        self, total: int, ahead: int, *, passing: bool, lost: bool = False
    ) -> None:
        """For those whom the line does not come to within `ahead` entries."""
        self.hands.total = 0 if self.solitary else total
        self.hands.share = self.hands.tenant_share = 99
        self.shares.ahead = ahead
        self.rush.note(full=True, passing=passing)
        self.ledger.lose = lost
        try:
            await self.shares.tick()
        except SessionLost:
            assert not self.ledger.expected.live(self.session)
        except OutcomeUnknown:
            assert lost
        self.ledger.lose = False

    async def record(self, results: Sequence[Result]) -> bool:
        """Whether this session was heard; then it is rid of these accounts."""
        self.hands.sent += results
        try:
            await self.ledger.record(self.session, results)
        except SessionLost:
            await self.ledger.refused(self.session, results)
            return False
        for one in results:
            self.hands.accounts.pop((one.job_id, one.index, one.attempt), None)
        return True

    async def suspect(self) -> bool:
        """Takes one alone, if it holds nothing; whether it got one."""
        await self.ledger.suspects()
        try:
            account = await self.ledger.claim_suspect(self.session)
        except SessionLost:
            return False
        if account is not None:
            self.hands.add([account])
        return account is not None

    async def rename(self, account: LeasedAccount, name: str) -> None:
        person = msgspec.structs.replace(account.person, username=name, email=f"{name}@x")
        try:
            renamed = await self.ledger.rename(self.session, account, person)
        except SessionLost:
            return
        if renamed:
            key = (*account.key, account.attempt)
            self.hands.accounts[key] = msgspec.structs.replace(account, person=person)


def as_ledger(watched: Watched) -> Any:
    """It has the verbs that are asked of it here, and not all of the protocol."""
    return watched


def result(account: LeasedAccount, outcome: Outcome) -> Result:
    """As the worker decides; an account to be looked for only is not created."""
    if account.find_only and outcome.kind in (OutcomeKind.EXISTING, OutcomeKind.CONFLICT):
        outcome = msgspec.structs.replace(outcome, kind=OutcomeKind.RETRY)
    return decide(account, outcome, _BACKOFF, random.Random(0))


def person(name: str) -> Person:
    return Person(name, f"{name}@x", "G", "F", "G F")
