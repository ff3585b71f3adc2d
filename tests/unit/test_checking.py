"""Checks of directories: few at once, none for long, and no word of what a creator raised."""

from __future__ import annotations

import asyncio
import logging

import pytest

from botrix.api.checking import Checking
from botrix.api.problems import Problem
from botrix.creators.creator import Check
from botrix.errors import DirectoryError

_FINE = Check(True, ("it works",))


async def _fine() -> Check:
    return _FINE


async def test_as_many_at_once_as_may_be_and_no_more() -> None:
    checking, go = Checking(most=2), asyncio.Event()

    async def waiting() -> Check:
        await go.wait()
        return _FINE

    two = [asyncio.create_task(checking.run(waiting)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Problem) as refused:
        await checking.run(_fine)
    assert (refused.value.status, refused.value.retry_after) == (429, 2)
    go.set()
    assert await asyncio.gather(*two) == [_FINE, _FINE]
    assert await checking.run(_fine) is _FINE


async def test_one_that_does_not_end_is_answered_and_counts_until_it_ends() -> None:
    """Also where it will not be stopped."""
    checking, go = Checking(most=1, within=0.05), asyncio.Event()

    async def stubborn() -> Check:
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        return _FINE

    found = await checking.run(stubborn)
    assert (found.usable, "not done within" in found.problem) == (False, True)
    with pytest.raises(Problem):
        await checking.run(_fine)
    go.set()
    await asyncio.sleep(0.01)
    assert await checking.run(_fine) is _FINE


async def test_one_that_is_slow_is_stopped() -> None:
    checking, stopped = Checking(within=0.05), asyncio.Event()

    async def slow() -> Check:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return _FINE

    assert not (await checking.run(slow)).usable
    await asyncio.wait_for(stopped.wait(), 5)


async def test_who_hangs_up_stops_his_check() -> None:
    checking, began, stopped = Checking(), asyncio.Event(), asyncio.Event()

    async def slow() -> Check:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return _FINE

    asking = asyncio.create_task(checking.run(slow))
    await began.wait()
    asking.cancel()
    await asyncio.wait_for(stopped.wait(), 5)


async def test_what_a_creator_raises_is_told_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken() -> Check:
        raise ValueError("the token s3cret is odd")

    with caplog.at_level(logging.INFO):
        found = await Checking().run(broken)
    assert not found.usable
    assert "ValueError at" in caplog.text
    assert "s3cret" not in f"{found}{caplog.text}"


async def test_what_has_a_name_is_raised() -> None:
    async def unusable() -> Check:
        raise DirectoryError("`url` must be like https://HOST")

    with pytest.raises(DirectoryError, match="must be like"):
        await Checking().run(unusable)
