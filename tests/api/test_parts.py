"""A background part that dies takes its process with it, instead of letting callers wait."""

from __future__ import annotations

import asyncio
from typing import cast

from botrix.api.submitting import Submitting
from botrix.ledger.ledger import Ledger, Submission, Submitted
from botrix.line.line import Line
from botrix.model import NewJob


class _Ledger:
    async def submit(self, submissions: list[Submission]) -> list[Submitted]:
        return [Submitted(one.job.id, 1) for one in submissions]


class _Line:
    up = True

    async def publish(self, _: object) -> None:
        raise RuntimeError("a mistake of ours")


async def test_what_a_part_died_of_is_told() -> None:
    died: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    submitting = Submitting(cast(Ledger, _Ledger()), cast(Line, _Line()), died.set_result)
    submitting.start()
    asking = asyncio.create_task(submitting.submit(Submission(NewJob("j", 1))))
    assert "a mistake of ours" in str(await asyncio.wait_for(died, 5))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
