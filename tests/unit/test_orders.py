"""A quiet worker takes nothing more; one that drains ends once nothing is held or being claimed."""

from __future__ import annotations

import asyncio

from botrix.model import Result
from botrix.states import AccountStatus, Duty
from botrix.worker.orders import Orders
from tests.unit.test_solitary import _OTHER, SUSPECT, _done, _made, made_desk


async def _soon(task: asyncio.Task[None]) -> bool:
    """Whether it ends by itself, now."""
    for _ in range(10):
        await asyncio.sleep(0)
    return task.done()


async def test_who_waits_for_room_hears_that_there_will_be_none() -> None:
    desk = made_desk()
    orders = Orders(desk, asyncio.Lock(), Duty.WORK)
    desk.reserve()
    waiting = asyncio.create_task(desk.has_room())
    assert not await _soon(waiting)
    orders.hear(Duty.QUIET)
    await asyncio.wait_for(waiting, 5)
    assert (desk.quiet, orders.status) == (True, "quiet")
    resting = asyncio.create_task(desk.takes_again())
    assert not await _soon(resting)
    desk.open_again()
    assert not await _soon(resting)
    assert desk.room(9).total == 0
    orders.hear(Duty.WORK)
    await asyncio.wait_for(resting, 5)
    assert (desk.room(9).total, orders.status) == (9, "running")


async def test_a_change_is_told_at_once_and_once() -> None:
    told: list[str] = []
    orders = Orders(made_desk(), asyncio.Lock(), Duty.WORK)

    async def tell() -> bool:
        told.append(orders.status)
        return False

    orders.tell = tell
    orders.hear(Duty.WORK)
    tick = asyncio.create_task(orders.tick())
    assert not await _soon(tick)  # type: ignore[arg-type]
    orders.hear(Duty.DRAIN)
    orders.hear(Duty.DRAIN)
    await asyncio.wait_for(tick, 5)
    again = asyncio.create_task(orders.tick())
    assert not await _soon(again)  # type: ignore[arg-type]
    assert told == ["draining"]
    again.cancel()


async def test_a_drain_ends_when_nothing_is_held_or_being_claimed() -> None:
    desk, claims = made_desk(), asyncio.Lock()
    orders = Orders(desk, claims, Duty.WORK)
    drained = asyncio.create_task(orders.drained())
    await claims.acquire()  # a claim is under way
    orders.hear(Duty.DRAIN)
    assert not await _soon(drained)
    desk.add([_OTHER])
    claims.release()
    assert not await _soon(drained)
    desk.released(_done(_OTHER))
    await asyncio.wait_for(drained, 5)
    await desk.close()


async def test_a_drain_can_be_taken_back() -> None:
    desk = made_desk()
    orders = Orders(desk, asyncio.Lock(), Duty.DRAIN)
    desk.add([_OTHER])
    drained = asyncio.create_task(orders.drained())
    orders.hear(Duty.WORK)
    desk.released(_done(_OTHER))
    assert not await _soon(drained)
    orders.hear(Duty.DRAIN)
    await asyncio.wait_for(drained, 5)
    await desk.close()


async def test_who_is_quiet_takes_no_suspect() -> None:
    ledger, desk, solitary = _made([0.0])
    desk.take_no_more()
    await solitary.tick()
    assert not ledger.claimed.is_set()
    desk.take_again()
    tick = asyncio.create_task(solitary.tick())
    await ledger.claimed.wait()
    await asyncio.sleep(0)
    desk.released(_done(SUSPECT))
    await tick
    await desk.close()


async def test_who_waits_to_be_alone_does_not_hang_when_it_drains() -> None:
    now = [100.0]
    ledger, desk, solitary = _made(now)
    orders = Orders(desk, asyncio.Lock(), Duty.WORK)
    drained = asyncio.create_task(orders.drained())
    desk.add([_OTHER])
    await solitary.tick()
    now[0] = 102.1
    tick = asyncio.create_task(solitary.tick())
    await asyncio.sleep(0.01)
    orders.hear(Duty.DRAIN)
    planned = Result("other", 0, 1, AccountStatus.PLANNED)
    desk.released([planned])
    await asyncio.wait_for(drained, 5)
    await asyncio.wait_for(tick, 5)
    assert (ledger.claimed.is_set(), desk.reserved) == (False, False)
    await desk.close()
