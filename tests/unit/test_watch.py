"""The thresholds of a session's lease, by a clock of the test."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from botrix.errors import SessionLost
from botrix.notify import Notifier
from botrix.worker.desk import Desk
from botrix.worker.pulse import Pulse
from botrix.worker.watch import Watch
from tests.unit.test_solitary import SUSPECT, made_desk


class _Pulse:
    confirmed = 100.0


class _Desk:
    paused = False

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


async def test_calls_stop_at_70_percent_and_the_session_at_90(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [100.0]
    pulse, desk = _Pulse(), _Desk()
    watch = Watch(cast(Pulse, pulse), cast(Desk, desk), 10.0, Notifier("", 0.0), lambda: now[0])
    for at, paused in ((106.9, False), (107.0, True), (108.9, True)):
        now[0] = at
        await watch.tick()
        assert desk.paused is paused
    pulse.confirmed = 108.0
    await watch.tick()
    assert not desk.paused
    now[0] = 117.0
    with pytest.raises(SessionLost):
        await watch.tick()
    assert "event loop was busy" in caplog.text


async def test_a_hand_that_saw_the_doubt_first_goes_on_when_it_is_over() -> None:
    """The beat may be confirmed before the watch has seen that it was late."""
    now = [107.5]
    desk = made_desk()
    watch = Watch(cast(Pulse, _Pulse()), desk, 10.0, Notifier("", 0.0), lambda: now[0])
    desk.add([SUSPECT])
    waiting = asyncio.create_task(desk._next(("default", "d"), 10))
    await asyncio.sleep(0)
    now[0] = 101.0
    await watch.tick()
    assert await asyncio.wait_for(waiting, 5) == [SUSPECT]
    await desk.close()
