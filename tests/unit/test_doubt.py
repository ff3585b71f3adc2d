"""A name under which some call was not answered is kept: no other one is tried in its place."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, cast

import pytest
from msgspec.structs import replace

from botrix.creators.creator import Sighting, Wanted, Whose
from botrix.creators.gate import Gate
from botrix.model import LeasedAccount, Outcome, OutcomeKind, Person, Result
from botrix.retry import Backoff, cut_short
from botrix.sealing import Sealer
from botrix.services import Directories
from botrix.states import AccountStatus
from botrix.worker.attempt import attempt
from botrix.worker.desk import Desk
from botrix.worker.recorder import Recorder
from tests.unit.kin import all_of_them as known

_ACCOUNT = LeasedAccount("default", "d", "job", 0, 1, Person("n0", "e", "g", "f", "d"), b"",
                         template="")  # fmt: skip
_WANTED = Wanted(_ACCOUNT.tag, _ACCOUNT.person, "Pass-w0rd!", unguessable=True)


class _Directory:
    """Answers from a script: what each create comes to, and whose each name is seen to be."""

    def __init__(self, creates: list[Outcome], sightings: dict[str, Whose]) -> None:
        self._creates = creates
        self._sightings = sightings
        self.created: list[str] = []

    async def create(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]:
        self.created += [one.person.username for one in wanted]
        return [self._creates.pop(0) for _ in wanted]

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]:
        return [Sighting(self._sightings.get(w.person.username, Whose.NOBODY)) for w in wanted]


class _Recorder:
    def __init__(self) -> None:
        self.results: list[Result] = []

    def put(self, results: list[Result]) -> None:
        self.results += results


async def _worked(directory: _Directory, account: LeasedAccount) -> tuple[Result, list[str]]:
    """What is recorded, and which names were tried, of one account that may have other names."""
    names = iter(range(1, 100))

    async def rename(one: LeasedAccount) -> LeasedAccount:
        person = Person(f"n{next(names)}", "e", "g", "f", "d")
        return replace(one, person=person)

    sealer = Sealer(b"k" * 32)
    account = replace(account, sealed=sealer.seal("Pass-w0rd!", "default", account.tag))
    desk = Desk(cast(Directories, None), sealer, Backoff(), 10, rename, known, random.Random(1))
    recorder = _Recorder()
    desk.recorder = cast(Recorder, recorder)
    await desk._work(cast(Any, directory), [account], Gate())
    (result,) = recorder.results
    return result, directory.created


_CREATED, _TAKEN = Outcome(OutcomeKind.CREATED, "e1"), Outcome(OutcomeKind.CONFLICT, None, "taken")
_UNHEARD = Outcome(OutcomeKind.UNKNOWN, None, "no clear answer")


@pytest.mark.parametrize("whose", [Whose.FOREIGN, Whose.OTHER_JOB])
async def test_a_taken_name_gives_way_to_another(whose: Whose) -> None:
    directory = _Directory([_TAKEN, _CREATED], {"n0": whose})
    result, tried = await _worked(directory, _ACCOUNT)
    assert (result.status, tried) == (AccountStatus.CREATED, ["n0", "n1"])


@pytest.mark.parametrize("whose", [Whose.FOREIGN, Whose.OTHER_JOB])
async def test_not_where_a_call_was_not_answered(whose: Whose) -> None:
    """It may land once the other entry is gone: then there would be two."""
    result, tried = await _worked(_Directory([_UNHEARD], {"n0": whose}), _ACCOUNT)
    assert (result.status, result.in_doubt, tried) == (AccountStatus.FAILED, True, ["n0"])


async def test_nor_where_an_earlier_one_was_not() -> None:
    doubted = replace(_ACCOUNT, attempt=2, find_first=True, in_doubt=True)
    result, tried = await _worked(_Directory([], {"n0": Whose.FOREIGN}), doubted)
    assert (result.status, tried) == (AccountStatus.FAILED, [])


async def test_what_is_ours_is_adopted_and_told_so() -> None:
    result, _ = await _worked(_Directory([_UNHEARD], {"n0": Whose.OURS}), _ACCOUNT)
    assert (result.status, result.reason) == (AccountStatus.CREATED, "adopted")


async def test_nothing_is_created_once_the_lease_is_in_doubt() -> None:
    directory = _Directory([], {})
    doubted = replace(_ACCOUNT, attempt=2, find_first=True)
    (outcome,) = await attempt(cast(Any, directory), [doubted], [_WANTED], lambda: False)
    assert (outcome.kind, outcome.counted, directory.created) == (OutcomeKind.UNKNOWN, False, [])


@pytest.mark.parametrize("whose", [Whose.NOBODY, Whose.FOREIGN, Whose.OTHER_JOB])
async def test_of_a_cancelled_job_only_what_is_ours_counts(whose: Whose) -> None:
    directory = _Directory([], {"n0": whose})
    cancelled = replace(_ACCOUNT, attempt=2, find_first=True, find_only=True)
    result, tried = await _worked(directory, cancelled)
    assert (result.status, result.reason, tried) == (AccountStatus.PLANNED, "cancelled", [])


@pytest.mark.parametrize(
    ("begun", "doubted", "status"),
    [
        (False, False, AccountStatus.PLANNED),  # held, and held before, but never begun
        (False, True, AccountStatus.UNSURE),
        (True, False, AccountStatus.UNSURE),
        (True, True, AccountStatus.UNSURE),
    ],
)
def test_what_goes_back_is_unsure_only_where_a_call_may_have_landed(
    begun: bool, doubted: bool, status: AccountStatus
) -> None:
    held = replace(_ACCOUNT, attempt=2, find_first=True, in_doubt=doubted)
    back = cut_short(held, begun)
    assert (back.status, back.counted, back.in_doubt) == (status, False, begun)
