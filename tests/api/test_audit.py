"""The record of who did what: one chain a tenant, however many act at once."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter

import pytest
from asyncpg import PostgresError

from botrix.ledger import audit as record
from botrix.ledger.audit import Verdict, verify
from botrix.ledger.engine import create_engine
from botrix.roles import Role
from tests.servers.keys import bearing, make_key, make_tenant
from tests.servers.system import System


async def _verified(system: System, tenant: str) -> Verdict:
    engine = create_engine(system.direct_url)
    try:
        return await verify(engine, tenant)
    finally:
        await engine.dispose()


async def test_many_at_once_make_one_chain_a_tenant(system: System) -> None:
    make_tenant(system, "other")
    other = System(system.settings.data, ledger_url=system.settings.ledger_url)
    keys = {name: await make_key(system, Role.SUBMITTER, name) for name in ("default", "other")}
    try:
        await other.supervisor.start_api()
        other.connect()
        clients = [bearing(api, key) for api in (system, other) for key in keys.values()]

        async def ask(n: int) -> int:
            client, kind = clients[n % 4], {"Content-Type": "text/csv"}
            if n % 10 == 9:
                roster = client.post("/api/accounts/import", data=b"username\nann\n", headers=kind)
                async with roster as answer:
                    return answer.status
            async with client.post("/api/accounts/generate", json={"count": n}) as answer:
                return answer.status

        assert set(await asyncio.gather(*(ask(n) for n in range(1, 101)))) == {202}
        for client in clients:
            await client.close()
    finally:
        await other.stop()
    told: Counter[str] = Counter()
    for tenant in keys:
        found = await _verified(system, tenant)
        assert found.problem is None
        rows = system.rows("SELECT what, who FROM audit WHERE tenant_id = ?", tenant)
        assert found.n == len(rows)
        told.update(what for what, _ in rows)
        key_id = keys[tenant][4:20]
        assert {who for what, who in rows if what.startswith("job.")} == {f"key:{key_id}"}
    assert told == {"key.create": 2, "job.submit": 90, "job.import": 10}


async def test_what_was_done_is_told_with_who_when_and_where(system: System) -> None:
    job = await system.generate(3, priority="low")
    await system.post(f"/api/jobs/{job}/cancel", {}, 202)
    lines = (await system.get("/api/audit"))["items"]
    assert [(x["n"], x["what"], x["object"], x["detail"]) for x in lines] == [
        (1, "job.submit", job, "3 accounts, directory local"),
        (2, "job.cancel", job, ""),
    ]
    assert {(x["who"], x["address"]) for x in lines} == {("local", "127.0.0.1")}
    async with system.http.get("/api/audit/export?cursor=1") as answer:
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert [line["n"] for line in lines] == [2]


async def test_what_was_not_done_is_not_told(system: System) -> None:
    headers = {"Idempotency-Key": "once"}
    for _ in range(2):
        await system.post("/api/accounts/generate", {"count": 1}, 202, **headers)
    await system.post("/api/accounts/generate", {"count": 2}, 422, **headers)
    await system.post("/api/accounts/generate", {"count": 0}, 422)
    await system.post("/api/jobs/none/cancel", {}, 404)
    assert [line["what"] for line in (await system.get("/api/audit"))["items"]] == ["job.submit"]


async def test_no_statement_changes_a_line(system: System) -> None:
    await system.generate(1)
    for sql in ("UPDATE audit SET who = 'x' RETURNING who", "DELETE FROM audit RETURNING who"):
        with pytest.raises((PostgresError, sqlite3.Error), match="append-only"):
            system.rows(sql)
    assert (await _verified(system, "default")).problem is None


async def test_a_search_goes_back_through_all_of_it(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await system.generate(7)
    await system.post(f"/api/jobs/{first}/cancel", {}, 202)
    for _ in range(3):
        await system.generate(5)

    async def found(asked: str) -> list[int]:
        page = await system.get(f"/api/audit?newest=true&{asked}")
        assert page["next"] is None
        return [line["n"] for line in page["items"]]

    assert await found("kind=job&find=CANCEL") == [2]
    assert await found("find=7%20accounts") == [1]
    assert await found(f"find={first}") == [2, 1]
    assert await found("kind=key") == await found("find=100%25") == await found("find=5_acc") == []
    page = await system.get("/api/audit?newest=true&find=submit&limit=3")
    assert ([line["n"] for line in page["items"]], page["next"]) == ([5, 4, 3], "3")
    assert (await system.get("/api/audit?newest=true&find=submit&cursor=3"))["next"] is None
    async with system.http.get("/api/audit?find=x") as answer:
        assert (answer.status, "newest=true" in await answer.text()) == (422, True)

    engine = create_engine(system.direct_url)
    monkeypatch.setattr(record, "_SEARCHED", 2)
    looked, before = [], 0
    try:
        while True:
            rows, following = await record.newest(
                engine, "default", before, 9, record.Sought(text="7 accounts")
            )
            looked.append(([row["n"] for row in rows], following))
            if following is None:
                break
            before = following
    finally:
        await engine.dispose()
    assert looked == [([], 4), ([], 2), ([1], None)]


async def test_the_newest_lines_come_first_where_they_are_asked_for(system: System) -> None:
    for count in range(1, 6):
        await system.generate(count)
    page = await system.get("/api/audit?newest=true&limit=2")
    assert [line["n"] for line in page["items"]] == [5, 4]
    rest = await system.get(f"/api/audit?newest=true&limit=4&cursor={page['next']}")
    assert [line["n"] for line in rest["items"]] == [3, 2, 1]
    assert rest["next"] is None
