"""One probe stands for all who would like to use the line."""

from __future__ import annotations

import asyncio

import pytest

from botrix.line import outage
from botrix.line.outage import Outage


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "_AGAIN", 0.0)


async def test_an_outage_ends_when_a_probe_says_so() -> None:
    asked, works = asyncio.Event(), asyncio.Event()

    async def probe() -> bool:
        asked.set()
        return works.is_set()

    made = Outage(probe)
    assert made.over
    made.begin()
    made.begin()  # once more changes nothing
    await asked.wait()
    assert not made.over
    works.set()
    assert made._probing is not None
    await asyncio.wait_for(made._probing, 5)
    assert made.over
    await made.close()


async def test_who_waits_is_woken_by_an_outage() -> None:
    async def probe() -> bool:
        return False

    made = Outage(probe)
    forever = asyncio.Event()

    async def work() -> None:
        await forever.wait()

    waiting = asyncio.create_task(made.unless(work()))
    await asyncio.sleep(0)
    assert not waiting.done()
    made.begin()
    await asyncio.wait_for(waiting, 5)
    await made.close()


async def test_what_the_work_raises_is_raised() -> None:
    async def probe() -> bool:
        return True

    async def work() -> None:
        raise ValueError("of the work")

    with pytest.raises(ValueError, match="of the work"):
        await Outage(probe).unless(work())
