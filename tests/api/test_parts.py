"""A background part that dies takes its process with it, instead of letting callers wait; and how
what is submitted at the same time goes together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from botrix.api.submitting import LARGEST, Submitting
from botrix.ledger.ledger import Ledger, Submission, Submitted
from botrix.line.line import Line
from botrix.model import NewJob


class _Ledger:
    async def submit(self, submissions: list[Submission]) -> list[Submitted]:
        return [Submitted(one.job.id, 1) for one in submissions]


class _Line:
    up = True

    async def enter(self, _: object) -> None:
        raise RuntimeError("a mistake of ours")


async def test_what_a_part_died_of_is_told() -> None:
    died: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    submitting = Submitting(cast(Ledger, _Ledger()), cast(Line, _Line()), died.set_result)
    submitting.start()
    asking = asyncio.create_task(submitting.submit(Submission(NewJob("j", 1))))
    assert "a mistake of ours" in str(await asyncio.wait_for(died, 5))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


class _Gated:
    """Ledger and line in one; each step waits until it is let."""

    up = True

    def __init__(self) -> None:
        self.commits: list[int] = []
        self.told: list[int] = []
        self.let_commit, self.let_tell = asyncio.Event(), asyncio.Event()

    async def submit(self, submissions: list[Submission]) -> list[Submitted]:
        self.commits.append(len(submissions))
        await self.let_commit.wait()
        return [Submitted(one.job.id, 1) for one in submissions]

    async def enter(self, new: list[object]) -> None:
        self.told.append(len(new))
        await self.let_tell.wait()


async def _settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_is_arriving_is_one_commit(gated: _Gated) -> None:
    async with _begun(gated) as submitting:
        asking = []
        for n in range(LARGEST + 100):
            one = submitting.submit(Submission(NewJob(f"j{n}", 1)))
            asking.append(asyncio.create_task(one))
            await asyncio.sleep(0)
        gated.let_commit.set()
        gated.let_tell.set()
        await asyncio.gather(*asking)
        assert gated.commits == [LARGEST, 100]


async def test_what_comes_during_a_commit_is_one_more(gated: _Gated) -> None:
    async with _begun(gated) as submitting:
        asking = [asyncio.create_task(submitting.submit(Submission(NewJob("first", 1))))]
        await _settled()
        more = [Submission(NewJob(f"j{n}", 1)) for n in range(30)]
        asking += [asyncio.create_task(submitting.submit(one)) for one in more]
        await _settled()
        assert gated.commits == [1]
        gated.let_commit.set()
        gated.let_tell.set()
        answers = await asyncio.wait_for(asyncio.gather(*asking), 5)
        assert [one.job_id for one in answers] == ["first", *(one.job.id for one in more)]
        assert gated.commits == gated.told == [1, 30]


async def test_nobody_is_answered_before_the_line_was_told(gated: _Gated) -> None:
    async with _begun(gated) as submitting:
        gated.let_commit.set()
        asking = [
            asyncio.create_task(submitting.submit(Submission(NewJob(f"j{n}", 1))))
            for n in range(2 * LARGEST)
        ]
        await _settled()
        assert gated.commits == [LARGEST, LARGEST]  # the second while the line is told of the first
        assert gated.told == [LARGEST]
        assert not any(one.done() for one in asking)
        gated.let_tell.set()
        await asyncio.wait_for(asyncio.gather(*asking), 5)


@pytest.mark.parametrize(("more", "commits"), [(1, [4]), (2, [4, 2])])
async def test_a_few_wait_for_those_who_are_answered_soon(
    gated: _Gated, more: int, commits: list[int]
) -> None:
    async with _begun(gated) as submitting:
        each = [Submission(NewJob(f"j{n}", 1)) for n in range(4 + more)]
        asking = [asyncio.create_task(submitting.submit(one)) for one in each[:4]]
        await _settled()
        asking += [asyncio.create_task(submitting.submit(one)) for one in each[4:]]
        await _settled()
        gated.let_commit.set()
        await _settled()
        assert (gated.told, gated.commits) == ([4], commits)
        gated.let_tell.set()
        await asyncio.wait_for(asyncio.gather(*asking), 5)


@pytest.fixture
def gated() -> _Gated:
    return _Gated()


@asynccontextmanager
async def _begun(gated: _Gated) -> AsyncIterator[Submitting]:
    def failed(error: BaseException) -> None:
        raise error

    submitting = Submitting(cast(Ledger, gated), cast(Line, gated), failed)
    submitting.start()
    yield submitting
    await submitting.close()
