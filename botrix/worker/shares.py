"""Each tenant's share: claims from the ledger for those whom the line will not come to soon.

In the line, another's ten jobs stand behind 100,000 of one tenant. So where it holds more than the
pumps take, this looks which tenants have work of which none stands among the first entries, and
claims some of theirs beside the pumps. Their entries in the line are stale from then on, and die
when the line comes to them; a job with work left is pushed with its new place. With one tenant it
only looks, once a second, whether there is another.
"""

from __future__ import annotations

import contextlib
from itertools import chain, zip_longest

from botrix.errors import LineDown
from botrix.ledger.ledger import Asked, Claim, Ledger, Placed, Verdict
from botrix.line.entries import decode
from botrix.line.line import Line, Placing
from botrix.model import Lane
from botrix.worker.claiming import Claiming
from botrix.worker.desk import Desk
from botrix.worker.events import update
from botrix.worker.pump import Rush

_AHEAD = 64
"""So many entries of the line are soon taken."""
_TENANTS = 32
_JOBS = 32
_MOST = 500
_SECOND = 1.0
_BETWEEN = 0.05
_END = 1 << 62
"""A place that is higher than any."""


class Shares:
    """interval: seconds between looks where nobody was behind."""

    name = "shares"

    def __init__(
        self,
        claiming: Claiming,
        ledger: Ledger,
        line: Line,
        desk: Desk,
        rush: Rush,
    ) -> None:
        self.interval = _SECOND
        self.ahead = _AHEAD
        self._claiming = claiming
        self._ledger = ledger
        self._line = line
        self._desk = desk
        self._rush = rush
        self._after = ""
        self._unusable: set[str] = set()

    async def tick(self) -> bool:
        """One look. True where something was claimed."""
        if not self._desk.several_tenants:  # once there were, there are
            self._desk.several_tenants = await self._ledger.several_tenants()
            self.interval = _BETWEEN if self._desk.several_tenants else _SECOND
            return self._desk.several_tenants
        if self._claiming.in_doubt:
            await self._claiming.look_what_is_held()
        await self._rush.on.wait()
        await self._desk.has_room()
        if self._desk.quiet:
            await self._desk.takes_again()
            return True
        behind = await self._behind()
        return bool(behind) and await self._claim(behind)

    async def _behind(self) -> dict[str, list[Placed]]:
        """The first jobs of the tenants that have to wait, each in its order. The ledger is asked
        before the line: what moves on in between is then seen as reached."""
        waiting = await self._ledger.waiting(self._after, _TENANTS, _JOBS)
        more = len(waiting) == _TENANTS
        if self._after and not more:
            waiting |= await self._ledger.waiting("", _TENANTS, _JOBS)
        self._after = max(waiting) if more else ""
        reached = await self._reached()
        room = self._desk.room(1)
        held = room.held_of()
        return {
            tenant: placed
            for tenant, placed in waiting.items()
            if held[tenant] < room.tenant_share
            and not any(one.place <= reached[one.lane] for one in placed)
        }

    async def _reached(self) -> dict[Lane, int]:
        """By lane, the last place among the first entries of the line; what has no place there may
        be anybody's. Those who only pass by what stands there reach nothing."""
        left = 0 if self._rush.passing else self.ahead
        reached = dict.fromkeys(Lane, 0)
        for lane in Lane:
            if left == 0:
                break
            places = await self._heads(lane, left)
            stamps = [place for place in places if place is not None]
            reached[lane] = _END if len(places) < left else max(stamps, default=0)
            left -= len(places)
        return reached

    async def _heads(self, lane: Lane, n: int) -> list[int | None]:
        """The places of the first entries; without the line those in the ledger."""
        if self._line.up:
            with contextlib.suppress(LineDown):
                entries = [decode(raw) for raw in await self._line.heads(lane, n)]
                return [None if isinstance(one, str) else one.place for one in entries]
        return [one.place for one in await self._ledger.passed_by(lane, None, n)]

    async def _claim(self, behind: dict[str, list[Placed]]) -> bool:
        """One job of each tenant after the other, in so much of the room as is theirs beside the
        share of who is served by the line. The next look begins after whom the room ended with."""
        jobs = [one for one in chain.from_iterable(zip_longest(*behind.values())) if one]
        asked = [Asked(one.id, one.place) for one in jobs if one.id not in self._unusable][:_MOST]
        if not asked:
            return False
        claim = await self._claiming.claim(asked, len(behind) / (len(behind) + 1))
        served = {account.tenant_id for account in claim.accounts}
        self._after = next((one for one in reversed(behind) if one in served), self._after)
        self._unusable |= {one.id for one in claim.rulings if one.verdict is Verdict.REJECTED}
        await self._tell(claim)
        return bool(claim.accounts)

    async def _tell(self, claim: Claim) -> None:
        """What is not pushed now is lost from the line, and found so by the dispatcher."""
        if not self._line.up:
            return
        left = [Placing(r.id, r.back, r.lane) for r in claim.rulings if r.back is not None]
        with contextlib.suppress(LineDown):
            if left:
                await self._line.push(left)
            await self._line.publish([update(job) for job in claim.started])
