"""An account whose password cannot be had is not tried, and keeps none of its batch from it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, cast

import pytest
from msgspec.structs import replace

from botrix.creators.creator import Sighting, Wanted, Whose
from botrix.creators.gate import Gate
from botrix.model import LeasedAccount, Outcome, OutcomeKind, Person, Result
from botrix.retry import Backoff
from botrix.sealing import Sealer
from botrix.services import Directories
from botrix.states import AccountStatus
from botrix.worker.desk import Desk
from botrix.worker.recorder import Recorder
from tests.unit.kin import all_of_them as known

_OURS, _OTHERS = Sealer(b"k" * 32), Sealer(b"x" * 32)


class _Directory:
    def __init__(self) -> None:
        self.asked: list[Wanted] = []

    async def create(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        self.asked += wanted
        return [Outcome(OutcomeKind.CREATED, "e")] * len(wanted)

    async def find(self, wanted: Sequence[Wanted]) -> list[Sighting]:
        return [Sighting(Whose.NOBODY)] * len(wanted)


class _Recorder:
    def __init__(self) -> None:
        self.results: list[Result] = []

    def put(self, results: list[Result]) -> None:
        self.results += results


def _account(index: int, sealer: Sealer = _OURS) -> LeasedAccount:
    account = LeasedAccount("t", "d", "job", index, 1, Person("n", "e", "g", "f", "d"), b"")
    return replace(account, sealed=sealer.seal(f"pass {index}", "t", account.tag))


async def _worked(batch: list[LeasedAccount]) -> tuple[list[Result], list[str]]:
    async def rename(_: LeasedAccount) -> LeasedAccount:
        raise AssertionError("no name was taken")

    desk = Desk(cast(Directories, None), _OURS, Backoff(), 10, rename, known, random.Random(1))
    recorder, directory = _Recorder(), _Directory()
    desk.recorder = cast(Recorder, recorder)
    await desk._work(cast(Any, directory), batch, Gate())
    return recorder.results, [one.password for one in directory.asked]


async def test_the_others_of_a_batch_are_created() -> None:
    batch = [_account(0), _account(1, _OTHERS), replace(_account(2), sealed=None), _account(3)]
    results, passwords = await _worked(batch)
    assert passwords == ["pass 0", "pass 3"]
    assert [result.index for result in results] == [0, 1, 2, 3]
    assert [result.status for result in results] == [
        AccountStatus.CREATED, AccountStatus.PLANNED, AccountStatus.FAILED, AccountStatus.CREATED,
    ]  # fmt: skip
    waits, erased = results[1:3]
    assert (waits.reason, waits.counted, waits.delay >= 30) == ("sealing key", False, True)
    assert "another key" in (waits.detail or "")
    assert erased.reason == "password erased"


async def test_one_that_may_have_landed_stays_in_doubt() -> None:
    (result,), _ = await _worked([replace(_account(0, _OTHERS), attempt=2, find_first=True)])
    assert (result.status, result.counted) == (AccountStatus.UNSURE, False)


@pytest.mark.parametrize("account", [_account(0, _OTHERS), replace(_account(0), sealed=None)])
async def test_what_is_only_looked_for_needs_no_password(account: LeasedAccount) -> None:
    cancelled = replace(account, attempt=2, find_first=True, find_only=True)
    (result,), passwords = await _worked([cancelled])
    assert (result.reason, passwords) == ("cancelled", [])
