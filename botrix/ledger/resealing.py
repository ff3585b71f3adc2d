"""Seals anew, with the active key, what is under another one, while workers and API go on.

Accounts are paged through by primary key, 500 a transaction; then chunks of rosters, 16 of them. A
row that somebody holds locked is left for the next pass, so nobody is waited for while rows are
held; and each is changed only where it still has the bytes that were read. Leased accounts, too:
their workers hold the old bytes, and know the old key yet.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from botrix.errors import LedgerDown, SettingsError
from botrix.ledger.tables import accounts, directories, jobs, roster_chunks, webhooks
from botrix.ledger.uploads import chunk_tag
from botrix.model import tag_of
from botrix.sealing import HEAD_BYTES, Sealer

BATCH = 500
CHUNKS = 16
_place = sa.tuple_(accounts.c.job_id, accounts.c.idx)
_HEAD = sa.func.substr(accounts.c.sealed, 1, HEAD_BYTES, type_=sa.LargeBinary)
_Place = tuple[str, int]
_chunk = sa.tuple_(roster_chunks.c.job_id, roster_chunks.c.first_row)
_CHUNK_HEAD = sa.func.substr(roster_chunks.c.sealed, 1, HEAD_BYTES, type_=sa.LargeBinary)


@dataclass(slots=True)
class Pass:
    """What one pass through the ledger found. seen: accounts and chunks of rosters. old: secrets
    under another key; resealed: those of them that are not any more; unreadable: those that no key
    of the ring opens, and why not."""

    seen: int = 0
    old: int = 0
    resealed: int = 0
    unreadable: int = 0
    why: str = ""

    @property
    def left(self) -> int:
        return self.old - self.resealed


class Resealing:
    """All raise LedgerDown where the database does not answer."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self._engine = engine
        self._sealer = sealer

    async def planned(self) -> int:
        """About how many accounts and chunks there are to see."""
        counted = sa.select(sa.func.count()).select_from(roster_chunks).scalar_subquery()
        total = sa.func.coalesce(sa.func.sum(jobs.c.next_index), 0) + counted
        async with self._begin() as db:
            return int((await db.execute(sa.select(total))).scalar_one())

    async def run(self, found: Pass, *, look_only: bool = False) -> AsyncIterator[int]:
        """One pass, with how many accounts each step saw; `found` is filled in."""
        head = self._sealer.head
        for page in (self._page, self._chunks):
            at: _Place | None = ("", -1)
            while at is not None:
                began, before = time.monotonic(), found.seen
                async with self._begin() as db:
                    at = await page(db, at, head, found, look_only)
                yield found.seen - before
                await asyncio.sleep(time.monotonic() - began)  # others have it for as long
        await self._directories(found, look_only)
        await self._webhooks(found, look_only)

    async def _page(
        self, db: AsyncConnection, at: _Place, head: bytes, found: Pass, look_only: bool
    ) -> _Place | None:
        """Where the next page begins; None after the last one."""
        query = sa.select(accounts.c.job_id, accounts.c.idx, _HEAD.label("head"))
        query = query.where(_place > at).order_by(accounts.c.job_id, accounts.c.idx).limit(BATCH)
        page = (await db.execute(query)).all()
        old = sum(row.head is not None and not row.head.startswith(head) for row in page)
        found.seen += len(page)
        found.old += old
        if not page:
            return None
        last = (page[-1].job_id, page[-1].idx)
        if old and not look_only:
            found.resealed += await self._reseal(db, at, last, head, found)
        return last

    async def _reseal(
        self, db: AsyncConnection, after: _Place, last: _Place, head: bytes, found: Pass
    ) -> int:
        query = sa.select(
            accounts.c.job_id, accounts.c.idx, accounts.c.tenant_id, accounts.c.sealed
        ).where(_place > after, _place <= last, sa.func.substr(_HEAD, 1, len(head)) != head)
        query = query.with_for_update(skip_locked=True, key_share=True)
        changes = []
        for job_id, idx, tenant, sealed in (await db.execute(query)).all():
            new = self._anew(sealed, tenant, tag_of(job_id, idx), found)
            if new is not None:
                changes.append({"j": job_id, "i": idx, "old": sealed, "new": new})
        if changes:
            await db.execute(_CHANGE, changes)
        return len(changes)

    async def _chunks(
        self, db: AsyncConnection, at: _Place, head: bytes, found: Pass, look_only: bool
    ) -> _Place | None:
        """As `_page` does. Nobody changes a chunk, so that none is locked."""
        kept = roster_chunks.c
        query = sa.select(kept.job_id, kept.first_row, kept.tenant_id, _CHUNK_HEAD.label("head"))
        query = query.where(_chunk > at).order_by(kept.job_id, kept.first_row).limit(CHUNKS)
        page = (await db.execute(query)).all()
        found.seen += len(page)
        for job_id, first, tenant, its in page:
            if not its.startswith(head):
                found.old += 1
                if not look_only:
                    found.resealed += await self._reseal_chunk(db, (job_id, first), tenant, found)
        return (page[-1].job_id, page[-1].first_row) if page else None

    async def _reseal_chunk(
        self, db: AsyncConnection, place: _Place, tenant: str, found: Pass
    ) -> int:
        query = sa.select(roster_chunks.c.sealed).where(_chunk == place)
        old = (await db.execute(query)).scalar_one_or_none()
        new = old and self._anew(old, tenant, chunk_tag(*place), found)
        if not new:
            return 0
        change = sa.update(roster_chunks).where(_chunk == place, roster_chunks.c.sealed == old)
        return (await db.execute(change.values(sealed=new))).rowcount

    async def _directories(self, found: Pass, look_only: bool) -> None:
        columns = (directories.c.tenant_id, directories.c.name, directories.c.secrets)
        async with self._begin() as db:
            for tenant, name, text in (await db.execute(sa.select(*columns))).all():
                new = self._directory(tenant, name, text, found, look_only)
                if new != text:
                    mine = (directories.c.tenant_id == tenant, directories.c.name == name)
                    change = sa.update(directories).where(*mine, directories.c.secrets == text)
                    done = (await db.execute(change.values(secrets=new))).rowcount
                    found.resealed += done * _differing(text, new)

    def _directory(self, tenant: str, name: str, text: str, found: Pass, look_only: bool) -> str:
        secrets: dict[str, str] = json.loads(text)
        for setting, value in secrets.items():
            tag = f"directory:{name}:{setting}"
            secrets[setting] = self._secret(value, tenant, tag, found, look_only)
        return json.dumps(secrets) if secrets != json.loads(text) else text

    async def _webhooks(self, found: Pass, look_only: bool) -> None:
        columns = (webhooks.c.tenant_id, webhooks.c.id, webhooks.c.secret)
        async with self._begin() as db:
            for tenant, ident, text in (await db.execute(sa.select(*columns))).all():
                before = text.split()
                after = [
                    self._secret(one, tenant, f"webhook:{ident}", found, look_only)
                    for one in before
                ]
                if after != before:
                    mine = (webhooks.c.id == ident, webhooks.c.secret == text)
                    change = sa.update(webhooks).where(*mine).values(secret=" ".join(after))
                    done = (await db.execute(change)).rowcount
                    moved = sum(old != new for old, new in zip(before, after, strict=True))
                    found.resealed += done * moved

    def _secret(self, value: str, tenant: str, tag: str, found: Pass, look_only: bool) -> str:
        """In base64, as it came where it need not or cannot be sealed anew."""
        try:
            sealed = base64.b64decode(value)
        except ValueError:  # is no seal of ours, and so an unreadable one
            sealed = b""
        if self._sealer.is_current(sealed):
            return value
        found.old += 1
        new = None if look_only else self._anew(sealed, tenant, tag, found)
        return value if new is None else base64.b64encode(new).decode()

    def _anew(self, sealed: bytes, tenant: str, tag: str, found: Pass) -> bytes | None:
        try:
            opened = self._sealer.unseal_bytes(sealed, tenant, tag)
            return self._sealer.seal_bytes(opened, tenant, tag)
        except SettingsError as error:
            found.unreadable += 1
            found.why = str(error)
            return None

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (sa.exc.DBAPIError, OSError) as error:
            raise LedgerDown("the ledger does not answer; run this again, it goes on") from error


_CHANGE = (
    sa.update(accounts)
    .where(
        accounts.c.job_id == sa.bindparam("j"),
        accounts.c.idx == sa.bindparam("i"),
        accounts.c.sealed == sa.bindparam("old"),
    )
    .values(sealed=sa.bindparam("new"))
)


def _differing(before: str, after: str) -> int:
    old: dict[str, Any] = json.loads(before)
    return sum(old[name] != value for name, value in json.loads(after).items())
