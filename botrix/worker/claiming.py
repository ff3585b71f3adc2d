"""How a session claims: within the room of its desk, and knowing of every lease it was given."""

from __future__ import annotations

import asyncio
import time

from botrix.errors import LedgerDown, LedgerError, OutcomeUnknown, SessionLost
from botrix.ledger.ledger import Asked, Claim, Ledger, Plan, Ruling, Verdict
from botrix.model import SLICE
from botrix.worker.desk import Desk
from botrix.worker.measures import Measures
from botrix.worker.traced import claimed

_MANY = 1 << 30


class Claiming:
    """One for each part that claims. shared: the lock of a session, since two must not both count
    on the same room. in_doubt: a claim's commit was not answered, so that accounts may be leased to
    this session of which it does not know."""

    def __init__(
        self, session: str, ledger: Ledger, desk: Desk, plan: Plan, shared: asyncio.Lock
    ) -> None:
        self.session = session
        self._ledger = ledger
        self._desk = desk
        self._plan = plan
        self._shared = shared
        self.in_doubt = False
        self.measures = Measures()  # replaced by the worker's

    async def look_what_is_held(self) -> None:
        """After a claim whose commit was not answered."""
        async with self._shared:
            self._desk.add(await self._ledger.held(self.session))
        self.in_doubt = False

    async def claim(self, asked: list[Asked], part: float = 1.0) -> Claim:
        """part: of the room that there is. Repeats one by one where the ledger refused the data:
        one culprit harms no other."""
        try:
            return await self._within_room(asked, part)
        except (LedgerDown, SessionLost):
            raise
        except LedgerError:
            claim = Claim()
            for one in asked:
                alone = await self._alone(one, part)
                claim.rulings.extend(alone.rulings)
                claim.accounts.extend(alone.accounts)
                claim.started.extend(alone.started)
            return claim

    async def _alone(self, one: Asked, part: float) -> Claim:
        try:
            return await self._within_room([one], part)
        except (LedgerDown, SessionLost):
            raise
        except LedgerError as error:
            return Claim([Ruling(one.id, Verdict.REJECTED, reason=str(error))])

    async def _within_room(self, asked: list[Asked], part: float) -> Claim:
        async with self._shared:
            few = len(asked) < 2 or self._desk.several_tenants
            room = self._desk.room(SLICE if few else _MANY, part)
            began, at = time.monotonic(), time.time()
            try:
                claim = await self._ledger.claim(self.session, asked, room, self._plan)
            except OutcomeUnknown:
                self.in_doubt = True
                raise
            self.measures.claims.note(time.monotonic() - began)
            self._desk.add(claim.accounts)
        claimed(claim, self.session, at)
        return claim
