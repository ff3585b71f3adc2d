"""Sends to webhooks what the ledger noted for them: each message at least once, under one id.

At most a few messages are on their way to one webhook, so that a slow one holds up no other. Those
of one job go one after another, so that they come in their order, unless one of them fails or
several workers send.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Sequence

from botrix.errors import SettingsError
from botrix.ledger.posting import Delivery, Posting, Receipt, Wanted
from botrix.sealing import Sealer
from botrix.states import DeliveryStatus
from botrix.webhooks import events, schedule, signing
from botrix.webhooks.said import TIMEOUT, Said, Sending

_log = logging.getLogger(__name__)
MOST, EACH = 128, 4
_GATHERED = 0.01
_KEY_AGAIN = 60.0
"""Seconds after which a secret is tried again that no key here opens."""


class Courier:
    """timeout: seconds that one message may take."""

    name = "courier"
    interval = 1.0

    def __init__(
        self,
        ledger: Posting,
        sealer: Sealer,
        sender: Sending,
        rng: random.Random,
        timeout: float = TIMEOUT,
    ) -> None:
        self._ledger = ledger
        self._sealer = sealer
        self._sender = sender
        self._rng = rng
        self._lease = (EACH + 1) * timeout
        self._held: dict[int, Delivery] = {}
        self._receipts: list[Receipt] = []
        self._lanes: dict[tuple[str, str], deque[Delivery]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def tick(self) -> bool:
        """Goes on at once while something is on its way."""
        await self._settle()
        await self._take()
        if not self._tasks:
            return False
        await asyncio.wait(self._tasks, timeout=self.interval, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(_GATHERED)  # what ends together is noted together
        ended = {task for task in self._tasks if task.done()}
        self._tasks -= ended
        for task in ended:
            task.result()
        return True

    async def close(self) -> None:
        """What is on its way is given up: a peer sends it, once more should it have come."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._sender.close()
        told = {one.n for one in self._receipts}
        self._receipts += [_back(one) for one in self._held.values() if one.n not in told]
        await self._settle()

    async def _settle(self) -> None:
        """Kept, where the ledger does not answer."""
        if not self._receipts:
            return
        noting = list(self._receipts)
        for webhook in await self._ledger.settle_deliveries(noting):
            _log.warning("webhook %s was disabled; see: botrix webhook list", webhook)
        del self._receipts[: len(noting)]
        for one in noting:
            self._held.pop(one.n, None)

    async def _take(self) -> None:
        """Of each webhook as many as wait for each other at most while their leases last."""
        room = MOST - len(self._held)
        if room <= 0:
            return
        busy = Counter(one.webhook_id for one in self._held.values())
        for one in await self._ledger.take_deliveries(Wanted(room, EACH, self._lease, busy)):
            self._held[one.n] = one
            key = (one.webhook_id, one.job_id)
            if key in self._lanes:
                self._lanes[key].append(one)
            else:
                self._lanes[key] = deque([one])
                self._tasks.add(asyncio.create_task(self._deliver(key)))

    async def _deliver(self, key: tuple[str, str]) -> None:
        lane = self._lanes[key]
        while lane:
            self._receipts.append(await self._receipt(lane.popleft()))
        del self._lanes[key]

    async def _receipt(self, one: Delivery) -> Receipt:
        try:
            secrets = signing.unseal(self._sealer, one.tenant_id, one.webhook_id, _secrets(one))
        except SettingsError as error:
            _log.warning("webhook %s: %s", one.webhook_id, error)
            return _back(one, str(error), _KEY_AGAIN)
        body = events.message(one.event, one.at, one.tenant_id, one.job_id, one.body)
        ident = events.message_id(one.webhook_id, one.n, one.at)
        headers = signing.headers(secrets, ident, int(time.time()), body)
        said = await self._sender.send(one.url, one.config, headers, body)
        return self._judged(one, said)

    def _judged(self, one: Delivery, said: Said) -> Receipt:
        key = (one.n, one.tries, one.webhook_id)
        if said.taken:
            return Receipt(*key, DeliveryStatus.SENT)
        delay = schedule.delay(one.tries, said.after, self._rng)
        problem, quiet = said.problem, said.after or 0.0 if said.busy else 0.0
        if delay is None or said.gone or one.event == events.TEST:
            return Receipt(*key, DeliveryStatus.DEAD, problem, quiet=quiet, gone=said.gone)
        return Receipt(*key, DeliveryStatus.WAITING, problem, delay, quiet=quiet)


def _secrets(one: Delivery) -> Sequence[str]:
    """The newest first; the one before it signs too, until its time is over."""
    sealed = one.secret.split()
    return sealed if one.now < json.loads(one.config).get("old_until", 0) else sealed[:1]


def _back(one: Delivery, problem: str | None = None, delay: float = 0.0) -> Receipt:
    key = (one.n, one.tries, one.webhook_id)
    return Receipt(*key, DeliveryStatus.WAITING, problem, delay, counted=False)
