"""Who asks is looked up once for all who wait, and again before anybody has to."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from botrix.api import who
from botrix.api.who import Doorkeeper
from botrix.errors import LedgerDown
from botrix.keys import new_key
from botrix.ledger.keys import Keys

_KEY = new_key()
_ROW: dict[str, Any] = {
    "id": _KEY.id, "tenant_id": "default", "name": "n", "role": "admin", "digest": _KEY.digest,
    "requests_per_minute": None,
}  # fmt: skip


class _Keys:
    """Answers when it is let; what: the row, None, or an error."""

    def __init__(self) -> None:
        self.asked = 0
        self.let = asyncio.Event()
        self.what: dict[str, Any] | Exception | None = _ROW

    async def bearer(self, _: str) -> dict[str, Any] | None:
        self.asked += 1
        await self.let.wait()
        if isinstance(self.what, Exception):
            raise self.what
        return self.what

    signed_in = bearer


class _Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    made = _Clock()
    monkeypatch.setattr(who, "time", made)
    return made


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_who_wait_are_served_by_one_look(clock: _Clock) -> None:
    keys = _Keys()
    keeper = Doorkeeper(cast(Keys, keys), None)
    asking = [asyncio.create_task(keeper.by_key(_KEY.text, "::1")) for _ in range(20)]
    await _settled()
    keys.let.set()
    assert all(await asyncio.gather(*asking))
    assert keys.asked == 1


async def test_nobody_waits_for_a_look_ahead_nor_for_its_failure(clock: _Clock) -> None:
    keys = _Keys()
    keeper = Doorkeeper(cast(Keys, keys), None)
    keys.let.set()
    assert await keeper.by_key(_KEY.text, "::1")
    keys.let.clear()
    clock.now += 1.5
    assert await asyncio.wait_for(keeper.by_key(_KEY.text, "::1"), 5)
    keys.what = LedgerDown("gone")
    keys.let.set()
    await _settled()
    assert keys.asked == 2
    clock.now += 0.6  # too old by now
    with pytest.raises(LedgerDown):
        await keeper.by_key(_KEY.text, "::1")


async def test_what_is_revoked_ends_with_the_look_that_says_so(clock: _Clock) -> None:
    keys = _Keys()
    keeper = Doorkeeper(cast(Keys, keys), None)
    keys.let.set()
    assert await keeper.by_key(_KEY.text, "::1")
    keys.what = None
    clock.now += 1.5
    await keeper.by_key(_KEY.text, "::1")
    await _settled()
    assert await keeper.by_key(_KEY.text, "::1") is None


async def test_a_look_under_way_does_not_bring_back_what_was_forgotten(clock: _Clock) -> None:
    keys = _Keys()
    keeper = Doorkeeper(cast(Keys, keys), None)
    asking = asyncio.create_task(keeper.by_cookie("cookie", "::1"))
    await _settled()
    keeper.forget(who.digest_of("cookie"))
    keys.let.set()
    await asking
    keys.what = None
    assert await keeper.by_cookie("cookie", "::1") is None
