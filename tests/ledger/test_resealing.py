"""Sealing anew on both databases: everything, in passes, beside whoever holds rows."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from botrix.ledger import resealing
from botrix.ledger.engine import create_engine
from botrix.ledger.resealing import Pass, Resealing
from botrix.ledger.tables import accounts, directories, jobs, roster_chunks, webhooks
from botrix.ledger.uploads import chunk_tag
from botrix.model import tag_of
from botrix.sealing import Sealer
from botrix.webhooks import signing
from tests.servers.postgres import PostgresServer

_OLD, _NEW = b"o" * 32, b"n" * 32


@pytest_asyncio.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(url)
    yield made
    await made.dispose()


async def _fill(engine: AsyncEngine, sealer: Sealer, names: list[str], count: int) -> None:
    job = {"source": "generate", "directory": "d", "count": count, "next_index": count}
    times = {"created_at": 0, "updated_at": 0}
    person = dict.fromkeys(("username", "email", "given_name", "family_name", "display_name"), "x")
    rows = [
        {"job_id": name, "idx": n, "tenant_id": "t", **person, "updated_at": 0,
         "sealed": sealer.seal(f"pass {name} {n}", "t", tag_of(name, n)) if n % 10 else None}
        for name in names
        for n in range(count)
    ]  # fmt: skip
    async with engine.begin() as db:
        await db.execute(sa.insert(jobs), [{"id": name, **job, **times} for name in names])
        await db.execute(sa.insert(accounts), rows)


async def _all(engine: AsyncEngine) -> list[Any]:
    async with engine.begin() as db:
        return list((await db.execute(sa.select(accounts))).all())


async def _pass(engine: AsyncEngine, sealer: Sealer, **how: bool) -> Pass:
    found = Pass()
    seen = [step async for step in Resealing(engine, sealer).run(found, **how)]
    assert sum(seen) == found.seen
    return found


async def test_all_is_sealed_anew_and_opens(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "BATCH", 7)
    await _fill(engine, Sealer(_OLD), ["a", "b"], 30)
    await _fill(engine, Sealer(_NEW), ["c"], 30)
    ring = Sealer(_NEW, _OLD)
    assert await _pass(engine, ring, look_only=True) == Pass(seen=90, old=54)
    before = await _all(engine)
    assert await _pass(engine, ring) == Pass(seen=90, old=54, resealed=54)
    assert await _pass(engine, ring) == Pass(seen=90)
    only_new = Sealer(_NEW)
    after = await _all(engine)
    for row in after:
        if row.idx % 10:
            password = only_new.unseal(row.sealed, "t", tag_of(row.job_id, row.idx))
            assert password == f"pass {row.job_id} {row.idx}"
        else:
            assert row.sealed is None
    assert [row[:] for row in after if row.job_id == "c"] == [
        row[:] for row in before if row.job_id == "c"
    ], "what was current is left as it is"


async def test_secrets_of_directories_are_sealed_anew(engine: AsyncEngine) -> None:
    old, ring = Sealer(_OLD), Sealer(_NEW, _OLD)
    secrets = {
        setting: base64.b64encode(
            sealer.seal(f"the {setting}", "t", f"directory:d:{setting}")
        ).decode()
        for setting, sealer in (("token", old), ("password", ring))
    }
    row = {"tenant_id": "t", "name": "d", "kind": "scim", "created_at": 0}
    async with engine.begin() as db:
        await db.execute(sa.insert(directories).values(**row, secrets=json.dumps(secrets)))
        await db.execute(sa.insert(directories).values(**row | {"name": "none"}))
    assert await _pass(engine, ring, look_only=True) == Pass(old=1)
    assert await _pass(engine, ring) == Pass(old=1, resealed=1)
    assert await _pass(engine, ring) == Pass()
    query = sa.select(directories.c.secrets).where(directories.c.name == "d")
    async with engine.begin() as db:
        after = json.loads((await db.execute(query)).scalar_one())
    assert after["password"] == secrets["password"]
    for setting, value in after.items():
        sealed = base64.b64decode(value)
        assert Sealer(_NEW).unseal(sealed, "t", f"directory:d:{setting}") == f"the {setting}"


async def test_both_secrets_of_a_webhook_are_sealed_anew(engine: AsyncEngine) -> None:
    old, ring = Sealer(_OLD), Sealer(_NEW, _OLD)
    sealed = [signing.seal(old, "t", "w", secret) for secret in ("whsec_new", "whsec_old")]
    row = {"id": "w", "tenant_id": "t", "url": "u", "secret": " ".join(sealed), "created_at": 0}
    current = signing.seal(ring, "t", "v", "whsec_v")
    async with engine.begin() as db:
        await db.execute(sa.insert(webhooks).values(**row))
        await db.execute(sa.insert(webhooks).values(**row | {"id": "v", "secret": current}))
    assert await _pass(engine, ring, look_only=True) == Pass(old=2)
    assert await _pass(engine, ring) == Pass(old=2, resealed=2)
    assert await _pass(engine, ring) == Pass()
    async with engine.begin() as db:
        query = sa.select(webhooks.c.secret).order_by(webhooks.c.id.desc())
        after, untouched = (await db.execute(query)).scalars()
    opened = signing.unseal(Sealer(_NEW), "t", "w", after.split())
    assert (opened, untouched) == (["whsec_new", "whsec_old"], current)


async def test_rosters_are_sealed_anew(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "CHUNKS", 3)
    old, ring = Sealer(_OLD), Sealer(_NEW, _OLD)
    await _fill(engine, ring, ["a", "b"], 1)
    rows = [
        {"job_id": name, "first_row": n, "last_row": n, "tenant_id": "t",
         "sealed": sealer.seal_bytes(b"\xff%d" % n, "t", chunk_tag(name, n))}
        for name, sealer in (("a", old), ("b", ring))
        for n in range(7)
    ]  # fmt: skip
    async with engine.begin() as db:
        await db.execute(sa.insert(roster_chunks), rows)
    assert await Resealing(engine, ring).planned() == 16
    assert await _pass(engine, ring, look_only=True) == Pass(seen=16, old=7)
    assert await _pass(engine, ring) == Pass(seen=16, old=7, resealed=7)
    assert await _pass(engine, ring) == Pass(seen=16)
    async with engine.begin() as db:
        kept = (await db.execute(sa.select(roster_chunks))).all()
    for row in kept:
        tag = chunk_tag(row.job_id, row.first_row)
        assert Sealer(_NEW).unseal_bytes(row.sealed, "t", tag) == b"\xff%d" % row.first_row


async def test_what_no_key_opens_is_counted_and_stays(engine: AsyncEngine) -> None:
    await _fill(engine, Sealer(b"lost" * 8), ["a"], 4)
    await _fill(engine, Sealer(_OLD), ["b"], 4)
    found = await _pass(engine, Sealer(_NEW, _OLD))
    assert (found.old, found.resealed, found.unreadable, found.left) == (6, 3, 3, 3)
    assert "another key" in found.why


@pytest.mark.suite("PostgreSQL")
async def test_who_holds_a_row_is_not_waited_for(postgres_server: PostgresServer) -> None:
    engine, ring = create_engine(await postgres_server.database()), Sealer(_NEW, _OLD)
    await _fill(engine, Sealer(_OLD), ["a"], 30)
    held = sa.select(accounts).where(accounts.c.idx.in_([3, 21])).with_for_update()
    async with engine.begin() as worker:
        await worker.execute(held)
        assert await _pass(engine, ring) == Pass(seen=30, old=27, resealed=25)
    assert await _pass(engine, ring) == Pass(seen=30, old=2, resealed=2)
    await engine.dispose()
