"""Webhooks as people see to them: which there are, what became of their deliveries, and what is to
be sent once more. The triggers of `jobs` write deliveries; workers send them (posting.py).
"""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Act, Actor
from botrix.errors import Conflict, InvalidInput, NotFound
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin, now
from botrix.ledger.idempotency import first_use
from botrix.ledger.tables import deliveries, tenants, webhooks
from botrix.states import DeliveryStatus

Row = dict[str, Any]
MOST = 20
"""Webhooks of a tenant: each event is written once for each of them."""
ROTATING = 86_400.0
"""Seconds for which the secret that was replaced signs too."""
_BATCH = 2000
_SHOWN = [c for c in webhooks.c if c.name != "secret"]
_DELIVERY = [c for c in deliveries.c if c.name not in ("body", "tenant_id")]
_AGAIN = {"status": DeliveryStatus.WAITING, "tries": 0, "problem": None, "sent_at": None}


class Webhooks:
    """All raise LedgerDown where the database does not answer, and those that name a thing
    NotFound. key: an Idempotency-Key, under which nothing is done twice."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(
        self, tenant: str, webhook_id: str, values: Row, host: str, actor: Actor,
        key: str | None = None, fingerprint: str = "",
    ) -> bool:  # fmt: skip
        """values: url, secret (sealed), events (JSON or None) and config (JSON). host: for the
        audit record, since the rest of a url may be secret. False: the same was asked under this
        key before. Raises InvalidInput where there are too many."""
        async with self._begin() as db:
            found = sa.select(tenants.c.id).where(tenants.c.id == tenant).with_for_update()
            if (await db.execute(found)).first() is None:
                raise NotFound(f"there is no tenant {tenant!r}; see: botrix tenant list")
            if not await first_use(db, tenant, key, fingerprint, webhook_id):
                return False
            count = sa.select(sa.func.count()).where(webhooks.c.tenant_id == tenant)
            if (await db.execute(count)).scalar_one() >= MOST:
                raise InvalidInput(f"there are {MOST} webhooks already; remove one")
            made = sa.insert(webhooks).values(id=webhook_id, tenant_id=tenant, **values)
            await db.execute(made.values(created_at=now()))
            await note_act(db, Act("webhook.add", webhook_id, host, tenant), actor)
        return True

    async def shown(self, tenant: str) -> list[Row]:
        """Without their secrets."""
        query = sa.select(*_SHOWN).where(webhooks.c.tenant_id == tenant)
        return await self._rows(query.order_by(webhooks.c.created_at, webhooks.c.id))

    async def one(self, tenant: str, webhook_id: str) -> Row:
        mine = (webhooks.c.tenant_id == tenant, webhooks.c.id == webhook_id)
        rows = await self._rows(sa.select(*_SHOWN).where(*mine))
        if not rows:
            raise _none(webhook_id)
        return rows[0]

    async def remove(self, tenant: str, webhook_id: str, actor: Actor) -> None:
        """It is disabled first, and its deliveries go in batches, since no job shall wait."""
        mine = (webhooks.c.id == webhook_id, webhooks.c.tenant_id == tenant)
        async with self._begin() as db:
            await self._require(db, tenant, webhook_id)
            await _disable(db, webhook_id, "it is being removed")
        some = sa.select(deliveries.c.n).where(deliveries.c.webhook_id == webhook_id).limit(_BATCH)
        while await self._changed(sa.delete(deliveries).where(deliveries.c.n.in_(some))):
            pass
        async with self._begin() as db:
            if (await db.execute(sa.delete(webhooks).where(*mine))).rowcount:
                await note_act(db, Act("webhook.remove", webhook_id, "", tenant), actor)

    async def enable(
        self, tenant: str, webhook_id: str, actor: Actor, key: str | None = None
    ) -> None:
        """What has been given up stays so until it is replayed."""
        change = {"disabled_at": None, "disabled_reason": None}
        async with self._begin() as db:
            await self._require(db, tenant, webhook_id)
            if await first_use(db, tenant, key, f"webhook.enable:{webhook_id}", webhook_id):
                query = sa.update(webhooks).where(webhooks.c.id == webhook_id)
                await db.execute(query.values(**change, failing_since=None, quiet_until=None))
                await note_act(db, Act("webhook.enable", webhook_id, "", tenant), actor)

    async def rotate(
        self, tenant: str, webhook_id: str, sealed: str, actor: Actor, key: str | None = None
    ) -> bool:
        """sealed: the new secret; the one before it signs too, for a day. False: as in `add`."""
        async with self._begin() as db:
            row = await self._require(db, tenant, webhook_id)
            if not await first_use(db, tenant, key, f"webhook.rotate:{webhook_id}", webhook_id):
                return False
            at = (await db.execute(sa.select(now()))).scalar_one()
            config = {**json.loads(row["config"]), "old_until": at + ROTATING}
            secret = f"{sealed} {row['secret'].split()[0]}"
            query = sa.update(webhooks).where(webhooks.c.id == webhook_id)
            await db.execute(query.values(secret=secret, config=json.dumps(config)))
            await note_act(db, Act("webhook.rotate", webhook_id, "", tenant), actor)
        return True

    async def test(
        self, tenant: str, webhook_id: str, event: str, actor: Actor, key: str | None = None
    ) -> Row:
        """The delivery; under a key that came before, the newest of the webhook's tests."""
        mine = (deliveries.c.webhook_id == webhook_id, deliveries.c.event == event)
        latest: sa.Executable = sa.select(sa.func.max(deliveries.c.n)).where(*mine)
        async with self._begin() as db:
            await self._require(db, tenant, webhook_id, enabled=True)
            if await first_use(db, tenant, key, f"webhook.test:{webhook_id}", webhook_id):
                values = {"tenant_id": tenant, "webhook_id": webhook_id, "event": event}
                made = sa.insert(deliveries).values(**values, job_id="", body="{}", at=now())
                latest = made.returning(deliveries.c.n)
                await note_act(db, Act("webhook.test", webhook_id, "", tenant), actor)
            n = (await db.execute(latest)).scalar_one()
        return await self.delivery(tenant, n)

    async def deliveries(
        self, tenant: str, where: Row, before: int | None, limit: int
    ) -> list[Row]:
        """Newest first, older than `before`; where: status, webhook_id."""
        query = sa.select(*_DELIVERY).where(deliveries.c.tenant_id == tenant)
        query = query.where(*(deliveries.c[name] == value for name, value in where.items()))
        if before is not None:
            query = query.where(deliveries.c.n < before)
        return await self._rows(query.order_by(deliveries.c.n.desc()).limit(limit))

    async def delivery(self, tenant: str, n: int) -> Row:
        mine = (deliveries.c.tenant_id == tenant, deliveries.c.n == n)
        rows = await self._rows(sa.select(*_DELIVERY).where(*mine))
        if not rows:
            raise NotFound(f"there is no delivery {n}; see: GET /api/webhooks/deliveries")
        return rows[0]

    async def replay(self, tenant: str, n: int, actor: Actor, key: str | None = None) -> None:
        """Once more from the first try, whatever came of it before."""
        row = await self.delivery(tenant, n)
        async with self._begin() as db:
            await self._require(db, tenant, row["webhook_id"], enabled=True)
            if await first_use(db, tenant, key, f"webhook.replay:{n}", row["webhook_id"]):
                query = sa.update(deliveries).where(deliveries.c.n == n)
                await db.execute(query.values(**_AGAIN, next_at=now()))
                await note_act(db, Act("webhook.replay", row["webhook_id"], str(n), tenant), actor)

    async def replay_dead(
        self, tenant: str, webhook_id: str, actor: Actor, key: str | None = None
    ) -> int:
        """All dead ones of a webhook; how many."""
        dead = (
            deliveries.c.tenant_id == tenant,
            deliveries.c.status == DeliveryStatus.DEAD,
            deliveries.c.webhook_id == webhook_id,
        )
        async with self._begin() as db:
            await self._require(db, tenant, webhook_id, enabled=True)
            if not await first_use(db, tenant, key, f"webhook.replay:{webhook_id}", webhook_id):
                return 0
            last = (await db.execute(sa.select(sa.func.max(deliveries.c.n)).where(*dead))).scalar()
            await note_act(db, Act("webhook.replay", webhook_id, "all dead", tenant), actor)
        some = sa.select(deliveries.c.n).where(*dead, deliveries.c.n <= (last or 0)).limit(_BATCH)
        again = sa.update(deliveries).where(deliveries.c.n.in_(some))
        total = 0
        while changed := await self._changed(again.values(**_AGAIN, next_at=now())):
            total += changed
        return total

    async def _require(
        self, db: AsyncConnection, tenant: str, webhook_id: str, *, enabled: bool = False
    ) -> Row:
        """Its row, locked. Raises Conflict where it must be enabled and is not."""
        query = sa.select(webhooks).where(
            webhooks.c.id == webhook_id, webhooks.c.tenant_id == tenant
        )
        found = (await db.execute(query.with_for_update(key_share=True))).mappings().first()
        if found is None:
            raise _none(webhook_id)
        if enabled and found["disabled_at"] is not None:
            raise Conflict(
                f"webhook {webhook_id} is disabled ({found['disabled_reason']}); enable it first"
            )
        return dict(found)

    async def _changed(self, change: sa.Delete | sa.Update) -> int:
        async with self._begin() as db:
            return (await db.execute(change)).rowcount

    async def _rows(self, query: sa.Select[Any]) -> list[Row]:
        async with self._begin() as db:
            return [dict(row) for row in (await db.execute(query)).mappings()]

    def _begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return begin(self._engine)


async def _disable(db: AsyncConnection, webhook_id: str, reason: str) -> None:
    query = sa.update(webhooks).where(webhooks.c.id == webhook_id)
    await db.execute(query.values(disabled_at=now(), disabled_reason=reason))


def _none(webhook_id: str) -> NotFound:
    return NotFound(f"there is no webhook {webhook_id[:40]!r}; see: GET /api/webhooks")
