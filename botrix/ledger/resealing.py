"""Seals anew, with the active key, what is under another one, while workers and API go on.

Accounts are paged through by primary key, 500 a transaction. A row that somebody holds locked is
left for the next pass, so nobody is waited for while rows are held; and each is changed only where
it still has the bytes that were read. Leased accounts, too: their workers hold the old bytes, and
know the old key yet.
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
from botrix.ledger.tables import accounts, directories, jobs
from botrix.model import tag_of
from botrix.sealing import HEAD_BYTES, Sealer

BATCH = 500
_place = sa.tuple_(accounts.c.job_id, accounts.c.idx)
_HEAD = sa.func.substr(accounts.c.sealed, 1, HEAD_BYTES, type_=sa.LargeBinary)
_Place = tuple[str, int]


@dataclass(slots=True)
class Pass:
    """What one pass through the ledger found. old: secrets under another key; resealed: those of
    them that are not any more; unreadable: those that no key of the ring opens, and why not."""

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
        """About how many accounts there are to see."""
        async with self._begin() as db:
            total = await db.execute(sa.select(sa.func.coalesce(sa.func.sum(jobs.c.next_index), 0)))
            return int(total.scalar_one())

    async def run(self, found: Pass, *, look_only: bool = False) -> AsyncIterator[int]:
        """One pass, with how many accounts each step saw; `found` is filled in."""
        head = self._sealer.head
        at: _Place | None = ("", -1)
        while at is not None:
            began, before = time.monotonic(), found.seen
            async with self._begin() as db:
                at = await self._page(db, at, head, found, look_only)
            yield found.seen - before
            await asyncio.sleep(time.monotonic() - began)  # others have it for as long
        await self._directories(found, look_only)

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
            try:
                sealed = base64.b64decode(value)
            except ValueError:  # is no seal of ours, and so an unreadable one
                sealed = b""
            if self._sealer.is_current(sealed):
                continue
            found.old += 1
            new = None
            if not look_only:
                new = self._anew(sealed, tenant, f"directory:{name}:{setting}", found)
            if new is not None:
                secrets[setting] = base64.b64encode(new).decode()
        return json.dumps(secrets) if secrets != json.loads(text) else text

    def _anew(self, sealed: bytes, tenant: str, tag: str, found: Pass) -> bytes | None:
        try:
            return self._sealer.seal(self._sealer.unseal(sealed, tenant, tag), tenant, tag)
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
