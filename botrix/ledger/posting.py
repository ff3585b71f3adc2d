"""The verbs by which workers send what the triggers noted for webhooks.

A delivery is taken by compare-and-set on the time at which it is due, which moves it as far into
the future as sending may take: whoever dies with it leaves it to others. So it is sent at least
once. What came of it counts only while it is the same try; that it was taken well counts always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from botrix.states import DeliveryStatus

PATIENCE = 5 * 86_400.0
"""Seconds after which a webhook is disabled through which nothing got. Longer than a delivery is
tried."""
GONE = "its receiver answered 410: it wants no more"
SENT_FOR, DEAD_FOR = 3 * 86_400.0, 30 * 86_400.0
"""Seconds for which deliveries are kept."""
DISABLED = "its webhook was disabled"


class Wanted(msgspec.Struct, frozen=True):
    """most: deliveries in all; each: of one webhook, those that are under way here included (busy,
    by its id); one where it fails just now. lease: seconds that sending them may take."""

    most: int
    each: int
    lease: float
    busy: Mapping[str, int] = {}

    def room(self, webhook_id: str, *, failing: bool) -> int:
        return max(0, (1 if failing else self.each) - self.busy.get(webhook_id, 0))


class Delivery(msgspec.Struct, frozen=True):
    """An event on its way. tries: this one included. secret: one or two, sealed; config: JSON.
    now: by the clock of the ledger."""

    n: int
    tries: int
    tenant_id: str
    webhook_id: str
    job_id: str
    event: str
    body: str
    at: float
    url: str
    secret: str
    config: str
    now: float

    def __repr__(self) -> str:
        return f"Delivery({self.n}, {self.event!r}, {self.webhook_id!r})"


class Receipt(msgspec.Struct, frozen=True):
    """What came of a try. delay: seconds until the next. counted: False where it was not sent at
    all. quiet: seconds for which its webhook is to be left alone. gone: it wants no more."""

    n: int
    tries: int
    webhook_id: str
    status: DeliveryStatus
    problem: str | None = None
    delay: float = 0.0
    counted: bool = True
    quiet: float = 0.0
    gone: bool = False

    @property
    def failed(self) -> bool:
        return self.counted and self.status is not DeliveryStatus.SENT


def by_webhook(receipts: Sequence[Receipt]) -> dict[str, Receipt]:
    """Of each that something came of, what tells most: that it wants no more, or else that it
    lives."""
    found: dict[str, Receipt] = {}
    for one in sorted(receipts, key=lambda one: (one.gone, not one.failed)):
        if one.counted:
            found[one.webhook_id] = one
    return found


def still(problem: str | None) -> str:
    """Why a webhook was disabled."""
    return f"nothing got through for {PATIENCE / 86_400:.0f} days; last: {problem}"


class Posting(Protocol):
    """take_deliveries gives what is due, in order. settle_deliveries notes what came of it, and
    gives the ids of the webhooks that were disabled. forget_deliveries (named in keeping.py)
    deletes those that were kept long enough, and gives up those of disabled webhooks, `limit` of
    each kind at most; how many."""

    async def take_deliveries(self, wanted: Wanted) -> list[Delivery]: ...

    async def settle_deliveries(self, receipts: Sequence[Receipt]) -> list[str]: ...
