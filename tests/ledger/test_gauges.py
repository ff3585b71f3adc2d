"""What `/metrics` asks of the ledger, on both databases."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from botrix.audit import NOBODY
from botrix.breaker import Window
from botrix.ledger import gauges
from botrix.ledger.engine import begin
from botrix.ledger.governing import Report
from botrix.ledger.ledger import Ledger
from botrix.ledger.queries import Queries
from botrix.model import Lane, NewJob
from botrix.states import DirectoryStatus
from botrix.throttle import Observed
from tests.ledger.test_verbs import placed


async def _change(queries: Queries, sql: str) -> None:
    async with begin(queries.engine) as db:
        await db.execute(sa.text(sql))


async def test_the_first_job_of_a_lane_tells_how_long_it_waits(
    ledger: Ledger, queries: Queries
) -> None:
    assert (await gauges.running(queries.engine)).waited == {"high": 0, "normal": 0, "low": 0}
    for name in ("first", "second"):
        await placed(ledger, NewJob(name, 1, lane=Lane.LOW))
    await _change(queries, "UPDATE jobs SET updated_at = updated_at - 100 WHERE id = 'first'")
    await _change(queries, "UPDATE jobs SET updated_at = updated_at - 900 WHERE id = 'second'")
    waited = (await gauges.running(queries.engine)).waited
    assert waited == {"high": 0, "normal": 0, "low": pytest.approx(100, abs=5)}


async def test_sessions(ledger: Ledger, queries: Queries) -> None:
    await ledger.open_session("s2", "worker-2", "host", 2, "0")
    await ledger.open_session("s3", "worker-3", "host", 3, "1")
    await ledger.renew("s2")
    await ledger.mark_lost("s1", None)
    found = await gauges.running(queries.engine)
    assert (found.beats, found.versions, found.lost) == ({"s2": 1, "s3": 0}, {"0": 1, "1": 1}, 1)
    await ledger.end_session("s2")
    assert (await gauges.running(queries.engine)).lost == 1


async def test_directories_are_those_of_a_tenant(ledger: Ledger, queries: Queries) -> None:
    for name in ("a", "b"):
        await queries.add_directory("default", name, "simulated", "{}", NOBODY)
    report = Report("default", "a", 5, 8, Observed(), Window())
    await ledger.govern("s1", [report, Report("other", "a", 5, 8, Observed(), Window())])
    found = await gauges.used_directories(queries.engine, "default")
    assert {"a", "b"} <= set(found)
    standing = await ledger.standing("default", "a")
    assert standing is not None
    assert found["a"].status is DirectoryStatus.WORKING
    assert found["a"].limit
    assert (found["a"].workers, found["a"].at_once) == (1, standing.users["s1"].share)
    assert (found["b"].limit, found["b"].workers) == (None, 0)
    assert set(await gauges.used_directories(queries.engine, "other")) == set()
    await ledger.mark_lost("s1", None)
    assert (await gauges.used_directories(queries.engine, "default"))["a"].workers == 0


async def test_messages_to_webhooks(queries: Queries) -> None:
    empty = gauges.Posted({"waiting": 0, "dead": 0}, 0.0, {"enabled": 0, "disabled": 0})
    assert await gauges.posted(queries.engine, "default") == empty
    for name, tenant, off in (("w", "default", "NULL"), ("x", "default", "1"), ("y", "o", "NULL")):
        await _change(
            queries,
            "INSERT INTO webhooks (id, tenant_id, url, secret, created_at, disabled_at)"
            f" VALUES ('{name}', '{tenant}', 'u', 's', 0, {off})",
        )
    for hook, tenant, status, at in (
        ("w", "default", "waiting", "50"), ("w", "default", "waiting", "90"),
        ("w", "default", "dead", "0"), ("w", "default", "sent", "0"), ("y", "o", "waiting", "0"),
    ):  # fmt: skip
        await _change(
            queries,
            "INSERT INTO deliveries (webhook_id, tenant_id, job_id, event, body, at, status)"
            f" VALUES ('{hook}', '{tenant}', 'j', 'e', '{json.dumps({})}', {at}, '{status}')",
        )
    found = await gauges.posted(queries.engine, "default")
    assert found.messages == {"waiting": 2, "dead": 1}
    assert found.receivers == {"enabled": 1, "disabled": 1}
    assert found.waited > 1_000_000_000 - 90


async def test_messages_are_counted_up_to_a_bound(
    queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauges, "MOST", 2)
    await _change(
        queries, "INSERT INTO webhooks (id, url, secret, created_at) VALUES ('w', 'u', 's', 0)"
    )
    for _ in range(4):
        await _change(
            queries,
            "INSERT INTO deliveries (webhook_id, job_id, event, body, at)"
            " VALUES ('w', 'j', 'e', 'b', 0)",
        )
    assert (await gauges.posted(queries.engine, "default")).messages["waiting"] == 2
