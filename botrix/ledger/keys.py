"""Keys and sign-ins: who may ask, and for which tenant."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.audit import Act, Actor
from botrix.errors import Conflict, InvalidInput, NotFound
from botrix.keys import Key
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin, now
from botrix.ledger.tables import keys, sign_ins, tenants
from botrix.roles import Role

Row = dict[str, Any]
_SHOWN = [c for c in keys.c if c.name != "digest"]
_GOOD = sa.and_(
    keys.c.revoked_at.is_(None), sa.or_(keys.c.expires_at.is_(None), keys.c.expires_at > now())
)
_A_MINUTE = 60.0
_USED_LATELY = sa.func.coalesce(keys.c.last_used_at, 0) > now() - _A_MINUTE
_NOT_LATELY = sa.not_(_USED_LATELY)
_BEARER = sa.select(
    keys.c.id, keys.c.tenant_id, keys.c.name, keys.c.role, keys.c.digest,
    tenants.c.requests_per_minute, _USED_LATELY.label("used_lately"),
).where(_GOOD)  # fmt: skip
_OF_TENANT = keys.join(tenants, tenants.c.id == keys.c.tenant_id)


class Keys:
    """All raise LedgerDown where the database does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create(
        self, key: Key, tenant: str, name: str, role: Role, days: float | None, actor: Actor
    ) -> None:
        """days: until it expires. Raises InvalidInput where there is no such tenant."""
        expires = None if days is None else now() + days * 86400.0
        values = {"id": key.id, "digest": key.digest, "tenant_id": tenant, "name": name}
        async with self._begin() as db:
            if not (await db.execute(sa.select(1).where(tenants.c.id == tenant))).first():
                raise InvalidInput(f"there is no tenant {tenant!r}; see: botrix tenant list")
            made = sa.insert(keys).values(**values, role=role, created_at=now())
            await db.execute(made.values(expires_at=expires))
            await note_act(db, Act("key.create", key.id, f"{name}, {role}", tenant), actor)

    async def enter_first(self, key: Key, actor: Actor) -> None:
        """That of a new installation, an admin's. Once it was revoked it stays so."""
        async with self._begin() as db:
            insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
            values = {"id": key.id, "digest": key.digest, "name": "first key", "role": Role.ADMIN}
            made = insert(keys).values(**values, created_at=now()).on_conflict_do_nothing()
            if (await db.execute(made)).rowcount == 1:
                await note_act(db, Act("key.create", key.id, "first key, admin"), actor)

    async def any_made(self) -> bool:
        """Whether a key was ever made: also when all were revoked, the door stays shut."""
        async with begin(self._engine, reading=True) as db:
            return (await db.execute(sa.select(keys.c.id).limit(1))).first() is not None

    async def bearer(self, key_id: str) -> Row | None:
        """Of a key that is good now: tenant, role, name and digest. Notes that it was used, once a
        minute."""
        return await self._bearer(_BEARER.select_from(_OF_TENANT).where(keys.c.id == key_id))

    async def signed_in(self, digest: str) -> Row | None:
        """The key that signed in, as `bearer` gives it."""
        found = _BEARER.select_from(_OF_TENANT.join(sign_ins, sign_ins.c.key_id == keys.c.id))
        mine = (sign_ins.c.digest == digest, sign_ins.c.expires_at > now())
        return await self._bearer(found.where(*mine))

    async def _bearer(self, query: sa.Select[Any]) -> Row | None:
        async with begin(self._engine, reading=True) as db:
            row = (await db.execute(query)).mappings().first()
        if row is not None and not row["used_lately"]:
            used = sa.update(keys).where(keys.c.id == row["id"], _NOT_LATELY)
            async with self._begin() as db:
                await db.execute(used.values(last_used_at=now()))
        return None if row is None else dict(row)

    async def sign_in(self, digest: str, key_id: str, tenant: str, seconds: float) -> None:
        """digest: of the cookie. Sweeps those that are over."""
        values = {"digest": digest, "key_id": key_id, "tenant_id": tenant}
        async with self._begin() as db:
            await db.execute(sa.delete(sign_ins).where(sign_ins.c.expires_at < now()))
            made = sa.insert(sign_ins).values(**values, created_at=now())
            await db.execute(made.values(expires_at=now() + seconds))

    async def sign_out(self, digest: str) -> None:
        async with self._begin() as db:
            await db.execute(sa.delete(sign_ins).where(sign_ins.c.digest == digest))

    async def shown(self, tenant: str | None) -> list[Row]:
        """None: of all tenants."""
        query = sa.select(*_SHOWN, _GOOD.label("good"))
        if tenant is not None:
            query = query.where(keys.c.tenant_id == tenant)
        async with self._begin() as db:
            rows = (await db.execute(query.order_by(keys.c.created_at, keys.c.id))).mappings()
            return [dict(row) for row in rows]

    async def revoke(self, tenant: str | None, key_id: str, actor: Actor) -> None:
        """For good. None: of whichever tenant. Raises NotFound, or Conflict where it was before."""
        mine = [keys.c.id == key_id] + ([] if tenant is None else [keys.c.tenant_id == tenant])
        async with self._begin() as db:
            query = sa.select(keys.c.tenant_id, keys.c.revoked_at).where(*mine)
            row = (await db.execute(query)).first()
            if row is None:
                raise NotFound(f"there is no key {key_id[:40]!r}; see: botrix key list")
            gone = sa.update(keys).where(*mine, keys.c.revoked_at.is_(None))
            if (await db.execute(gone.values(revoked_at=now()))).rowcount == 0:
                raise Conflict(f"key {key_id} was revoked before")
            await note_act(db, Act("key.revoke", key_id, "", row.tenant_id), actor)

    def _begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return begin(self._engine)
