"""The part of a worker that sends: at least once, under one id, later where it failed, and nobody
waits for somebody else's receiver. On both databases.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from botrix.audit import NOBODY
from botrix.errors import Conflict, LedgerDown
from botrix.ledger.engine import create_engine, now
from botrix.ledger.ledger import Ledger
from botrix.ledger.posting import DEAD_FOR, PATIENCE, SENT_FOR, Receipt, Wanted
from botrix.ledger.tables import deliveries, webhooks
from botrix.ledger.webhooks import Webhooks
from botrix.sealing import Sealer
from botrix.services import open_ledger
from botrix.states import DeliveryStatus
from botrix.webhooks.adding import Asked, make
from botrix.webhooks.said import SendsLater
from botrix.webhooks.signing import new_secret, seal
from botrix.worker.courier import EACH, Courier
from tests.servers.receiver import Answer, Receiver


class Desk:
    """A ledger with what people and workers do to its webhooks."""

    def __init__(self, url: str) -> None:
        self.engine = create_engine(url)
        self.ledger: Ledger = open_ledger(url)
        self.held = Webhooks(self.engine)
        self.sealer = Sealer(b"k" * 32)
        self.couriers: list[Courier] = []

    async def add(self, receiver: Receiver) -> str:
        made = make(Asked(receiver.url), "default", self.sealer)
        await self.held.add("default", made.id, made.values, made.host, NOBODY)
        receiver.secrets.insert(0, made.secret)
        return made.id

    async def event(self, webhook: str, job: str = "j", event: str = "job.started") -> None:
        values = {
            "webhook_id": webhook,
            "job_id": job,
            "event": event,
            "body": "{}",
            "at": time.time(),
        }
        async with self.engine.begin() as db:
            await db.execute(sa.insert(deliveries).values(**values))

    def courier(self, timeout: float = 1.0) -> Courier:
        sender = SendsLater(timeout)
        made = Courier(self.ledger, self.sealer, sender, random.Random(1), timeout)
        self.couriers.append(made)
        return made

    async def rows(self, table: sa.Table = deliveries) -> list[Any]:
        async with self.engine.begin() as db:
            return list((await db.execute(sa.select(table).order_by(table.c[0]))).all())

    async def change(self, table: sa.Table, **values: Any) -> None:
        async with self.engine.begin() as db:
            await db.execute(sa.update(table).values(**values))

    async def close(self) -> None:
        for courier in self.couriers:
            await courier.close()
        await self.ledger.close()
        await self.engine.dispose()


@pytest_asyncio.fixture
async def desk(url: str) -> AsyncIterator[Desk]:
    made = Desk(url)
    yield made
    await made.close()


async def _until_idle(courier: Courier) -> None:
    while await courier.tick():
        pass


async def test_what_failed_is_sent_later_under_the_same_id(desk: Desk, receiver: Receiver) -> None:
    webhook = await desk.add(receiver)
    await desk.event(webhook)
    receiver.answers = [Answer(500), Answer(404)]
    courier = desk.courier()
    for tries, delay in ((1, 5.0), (2, 300.0)):
        await _until_idle(courier)
        (row,) = await desk.rows()
        assert (row.status, row.tries) == ("waiting", tries)
        assert row.problem == f"HTTP {(500, 404)[tries - 1]}"
        assert len(receiver.got) == tries, "not before its time"
        async with desk.engine.begin() as db:
            left = row.next_at - (await db.execute(sa.select(now()))).scalar_one()
        assert delay - 5 < left < 1.2 * delay
        (hook,) = await desk.rows(webhooks)
        assert hook.failing_since is not None
        await desk.change(deliveries, next_at=0)
    await _until_idle(courier)
    (row,) = await desk.rows()
    assert (row.status, row.tries, row.problem) == ("sent", 3, None)
    assert row.sent_at is not None
    assert {one.id for one in receiver.got} == {receiver.got[0].id}
    assert {one.body for one in receiver.got} == {receiver.got[0].body}
    assert all(one.good == (True,) for one in receiver.got)
    (hook,) = await desk.rows(webhooks)
    assert hook.failing_since is None


async def test_the_tenth_failure_is_the_last_and_it_can_be_replayed(
    desk: Desk, receiver: Receiver
) -> None:
    webhook = await desk.add(receiver)
    await desk.event(webhook)
    receiver.answer = Answer(500)
    courier = desk.courier()
    for _ in range(12):
        await desk.change(deliveries, next_at=0)
        await _until_idle(courier)
    (row,) = await desk.rows()
    assert (row.status, row.tries, len(receiver.got)) == ("dead", 10, 10)
    assert [one["n"] for one in await desk.held.deliveries("default", {"status": "dead"}, None, 9)]
    receiver.answer = Answer()
    assert await desk.held.replay_dead("default", webhook, NOBODY) == 1
    await _until_idle(courier)
    (row,) = await desk.rows()
    assert (row.status, row.tries) == ("sent", 1)
    assert len({one.id for one in receiver.got}) == 1
    await desk.held.replay("default", row.n, NOBODY)  # also what was sent
    await _until_idle(courier)
    assert len(receiver.got) == 12


async def test_who_answers_410_is_told_nothing_more(desk: Desk, receiver: Receiver) -> None:
    webhook = await desk.add(receiver)
    receiver.answers = [Answer(410)]
    for n in range(9):
        await desk.event(webhook, f"j{n}")
    courier = desk.courier()
    await _until_idle(courier)
    (hook,) = await desk.rows(webhooks)
    assert hook.disabled_at is not None
    assert "410" in hook.disabled_reason
    assert len(receiver.got) <= EACH
    await desk.ledger.forget_deliveries(100)
    told = Counter((row.status, row.problem) for row in await desk.rows())
    assert told["dead", "HTTP 410"] == 1, told
    assert told["dead", "its webhook was disabled"] + told["sent", None] == 8
    for verb in (desk.held.replay_dead, lambda *a: desk.held.test(*a[:2], "webhook.test", a[2])):
        with pytest.raises(Conflict, match="enable it first"):
            await verb("default", webhook, NOBODY)
    await desk.held.enable("default", webhook, NOBODY)
    await desk.held.replay_dead("default", webhook, NOBODY)
    await _until_idle(courier)
    assert {row.status for row in await desk.rows()} == {"sent"}


async def test_through_which_nothing_gets_for_days_is_disabled(
    desk: Desk, receiver: Receiver
) -> None:
    webhook = await desk.add(receiver)
    await desk.event(webhook)
    receiver.answer = Answer(500)
    courier = desk.courier()
    await _until_idle(courier)
    (hook,) = await desk.rows(webhooks)
    for age, disabled in ((PATIENCE - 60, False), (PATIENCE + 60, True)):
        await desk.change(webhooks, failing_since=hook.failing_since - age)
        await desk.change(deliveries, next_at=0)
        await _until_idle(courier)
        (after,) = await desk.rows(webhooks)
        assert (after.disabled_at is not None) == disabled
    assert after.disabled_reason == "nothing got through for 5 days; last: HTTP 500"


async def test_who_asks_for_time_gets_it(desk: Desk, receiver: Receiver) -> None:
    webhook = await desk.add(receiver)
    await desk.event(webhook, "a")
    receiver.answers = [Answer(503, {"Retry-After": "3600"})]
    courier = desk.courier()
    await _until_idle(courier)
    await desk.event(webhook, "b")
    await _until_idle(courier)
    assert len(receiver.got) == 1, "the webhook as a whole is left alone"
    (row, _) = await desk.rows()
    (hook,) = await desk.rows(webhooks)
    assert abs(row.next_at - hook.quiet_until) < 5
    await desk.change(webhooks, quiet_until=1)
    await _until_idle(courier)
    assert [one.job for one in receiver.got] == ["a", "b"]
    (hook,) = await desk.rows(webhooks)
    assert (hook.failing_since, hook.quiet_until) == (None, None)


async def test_a_slow_receiver_holds_up_no_other(desk: Desk, receiver: Receiver) -> None:
    quick = Receiver()
    await quick.start()
    try:
        slow_one, quick_one = await desk.add(receiver), await desk.add(quick)
        receiver.answer = Answer(hold=asyncio.Event())
        for n in range(30):
            await desk.event(slow_one, f"s{n}")
        for n in range(30):
            await desk.event(quick_one, f"q{n}")
        courier = desk.courier(20.0)
        async with asyncio.timeout(10):
            while len(quick.got) < 30:
                assert await courier.tick()
        assert receiver.most_at_once <= EACH
        assert quick.most_at_once <= EACH
    finally:
        await quick.stop()


async def test_who_fails_is_tried_by_one_at_a_time(desk: Desk, receiver: Receiver) -> None:
    webhook = await desk.add(receiver)
    await desk.change(webhooks, failing_since=1e9 * 2)
    receiver.answer = Answer(after=0.05)
    for n in range(3):
        await desk.event(webhook, f"j{n}")
    assert len(await desk.ledger.take_deliveries(Wanted(100, EACH, 60.0))) == 1
    assert await desk.ledger.take_deliveries(Wanted(100, EACH, 60.0, {webhook: 1})) == []


async def test_events_of_a_job_come_in_their_order(desk: Desk, receiver: Receiver) -> None:
    webhook = await desk.add(receiver)
    names = ("job.accepted", "job.started", "job.completed")
    for job in range(8):
        for name in names:
            await desk.event(webhook, f"j{job}", name)
    receiver.answers = [Answer(after=random.Random(n).random() / 20) for n in range(24)]
    await _until_idle(desk.courier())
    for job in range(8):
        assert receiver.of(f"j{job}") == list(names)
    assert len(receiver.got) == 24


async def test_several_workers_send_each_message_once(desk: Desk, receiver: Receiver) -> None:
    webhook = await desk.add(receiver)
    for n in range(60):
        await desk.event(webhook, f"j{n}")
    couriers = [desk.courier(5.0) for _ in range(4)]
    await asyncio.gather(*(_until_idle(one) for one in couriers))
    assert Counter(Counter(one.id for one in receiver.got).values()) == {1: 60}


async def test_who_ends_hands_back_what_was_on_its_way(desk: Desk, receiver: Receiver) -> None:
    webhook = await desk.add(receiver)
    await desk.event(webhook)
    receiver.answer = Answer(hold=asyncio.Event())
    courier = desk.courier(20.0)
    await courier.tick()
    await courier.close()
    (row,) = await desk.rows()
    assert (row.status, row.tries, row.problem) == ("waiting", 0, None)
    receiver.answer = Answer()
    await _until_idle(desk.courier())
    assert (await desk.rows())[0].status == "sent"
    (hook,) = await desk.rows(webhooks)
    assert hook.failing_since is None, "the receiver has not failed"


async def test_a_lease_that_ran_out_lets_another_send(desk: Desk, receiver: Receiver) -> None:
    webhook = await desk.add(receiver)
    await desk.event(webhook)
    (first,) = await desk.ledger.take_deliveries(Wanted(9, 9, 0.0))
    (second,) = await desk.ledger.take_deliveries(Wanted(9, 9, 60.0))
    assert (first.n, first.tries, second.tries) == (second.n, 1, 2)
    late = Receipt(first.n, first.tries, webhook, DeliveryStatus.DEAD, "late")
    await desk.ledger.settle_deliveries([late])
    assert (await desk.rows())[0].status == "waiting", "a late failure does not count"
    well = Receipt(first.n, first.tries, webhook, DeliveryStatus.SENT)
    await desk.ledger.settle_deliveries([well])
    failed = Receipt(second.n, second.tries, webhook, DeliveryStatus.WAITING, "x", 5.0)
    await desk.ledger.settle_deliveries([failed])
    assert (await desk.rows())[0].status == "sent", "that it was taken counts always"


async def test_a_ledger_that_was_down_hears_it_later(desk: Desk, receiver: Receiver) -> None:
    webhook = await desk.add(receiver)
    await desk.event(webhook)
    courier = desk.courier()
    settle, down = desk.ledger.settle_deliveries, True

    async def flaky(receipts: Any) -> list[str]:
        if down:
            raise LedgerDown("down")
        return await settle(receipts)

    desk.ledger.settle_deliveries = flaky  # type: ignore[method-assign]
    await courier.tick()
    for _ in range(3):
        with pytest.raises(LedgerDown):
            await courier.tick()
    down = False
    await _until_idle(courier)
    assert [(row.status, row.tries) for row in await desk.rows()] == [("sent", 1)]
    assert len(receiver.got) == 1


async def test_a_secret_that_was_replaced_signs_for_a_day(desk: Desk, receiver: Receiver) -> None:
    webhook = await desk.add(receiver)
    secret = new_secret()
    sealed = seal(desk.sealer, "default", webhook, secret)
    assert await desk.held.rotate("default", webhook, sealed, NOBODY)
    receiver.secrets.append(secret)
    courier = desk.courier()
    await desk.event(webhook, "a")
    await _until_idle(courier)
    assert receiver.got[-1].good == (True, True)
    await desk.change(webhooks, config='{"old_until": 5}')
    await desk.event(webhook, "b")
    await _until_idle(courier)
    assert receiver.got[-1].good == (False, True)
    assert len(receiver.got[-1].signatures) == 1


async def test_a_secret_that_no_key_opens_costs_no_try(desk: Desk, receiver: Receiver) -> None:
    webhook = await desk.add(receiver)
    await desk.event(webhook)
    desk.sealer = Sealer(b"x" * 32)
    await _until_idle(desk.courier())
    (row,) = await desk.rows()
    assert (row.status, row.tries) == ("waiting", 0)
    assert "another key" in row.problem
    assert receiver.got == []


async def test_a_test_is_sent_once(desk: Desk, receiver: Receiver) -> None:
    webhook = await desk.add(receiver)
    receiver.answers = [Answer(500)]
    first = await desk.held.test("default", webhook, "webhook.test", NOBODY, "key")
    again = await desk.held.test("default", webhook, "webhook.test", NOBODY, "key")
    assert first["n"] == again["n"]
    await _until_idle(desk.courier())
    (row,) = await desk.rows()
    assert (row.status, row.problem, len(receiver.got)) == ("dead", "HTTP 500", 1)
    assert receiver.got[0].told["data"] == {"tenant": "default"}


async def test_deliveries_are_forgotten_in_time(desk: Desk, receiver: Receiver) -> None:
    webhook = await desk.add(receiver)
    async with desk.engine.begin() as db:
        at = (await db.execute(sa.select(now()))).scalar_one()
        for status, age in (
            ("sent", SENT_FOR - 60), ("sent", SENT_FOR + 60), ("dead", SENT_FOR + 60),
            ("dead", DEAD_FOR + 60), ("waiting", DEAD_FOR + 60),
        ):  # fmt: skip
            values = {"webhook_id": webhook, "job_id": "j", "event": "x", "body": "{}"}
            await db.execute(sa.insert(deliveries).values(**values, status=status, at=at - age))
    assert await desk.ledger.forget_deliveries(100) == 2
    left = [(row.status, row.at > at - SENT_FOR) for row in await desk.rows()]
    assert left == [("sent", True), ("dead", False), ("waiting", False)]


async def test_what_is_removed_takes_its_messages_along(desk: Desk, receiver: Receiver) -> None:
    webhook, kept = await desk.add(receiver), await desk.add(receiver)
    for n in range(5):
        await desk.event(webhook, f"j{n}")
        await desk.event(kept, f"j{n}")
    await desk.held.remove("default", webhook, NOBODY)
    assert {row.webhook_id for row in await desk.rows()} == {kept}
    assert [row.id for row in await desk.rows(webhooks)] == [kept]
