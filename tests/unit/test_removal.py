"""What an undo does with one account, whatever the directory shows and answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, cast

import pytest
from msgspec.structs import replace

from botrix.creators.creator import Creator, Sighting, Wanted, Whose
from botrix.creators.gate import Gate
from botrix.model import LeasedAccount, Outcome, OutcomeKind, Person, Result
from botrix.retry import Backoff
from botrix.sealing import Sealer
from botrix.services import Directories
from botrix.states import AccountStatus, Stage
from botrix.worker.desk import Desk
from botrix.worker.recorder import Recorder
from tests.unit.kin import all_of_them

_ACCOUNT = LeasedAccount(
    "default", "d", "undo", 5, 1, Person("ann", "e", "g", "f", "d"), None, template=None,
    stage=Stage.REMOVE, undoes="job", row=7, entry_id="e7",
)  # fmt: skip
_DONE = Outcome(OutcomeKind.CREATED, "e7")
_NO_ENTRY = Outcome(OutcomeKind.REJECTED, None, "no such entry")


class _Directory:
    """Shows and answers the same to all; remembers what it was asked."""

    def __init__(self, seen: Sighting, answer: Outcome = _DONE) -> None:
        self._seen = seen
        self._answer = answer
        self.sought: list[Wanted] = []
        self.calls: list[tuple[str, str]] = []

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]:
        self.sought += wanted
        return [self._seen] * len(wanted)

    async def delete(self, entry_id: str) -> Outcome:
        self.calls.append(("delete", entry_id))
        return self._answer

    async def disable(self, entry_id: str) -> Outcome:
        self.calls.append(("disable", entry_id))
        return self._answer

    async def create(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]:
        raise AssertionError("nothing is created by an undo")


class _Directories:
    def __init__(self, disable: bool) -> None:
        self._disable = disable

    def disables(self, *_: str) -> bool:
        return self._disable


class _Recorder:
    def __init__(self) -> None:
        self.results: list[Result] = []

    def put(self, results: list[Result]) -> None:
        self.results += results


async def worked(
    directory: _Directory,
    account: LeasedAccount = _ACCOUNT,
    *,
    disable: bool = False,
    sure: bool = True,
) -> Result:
    async def rename(_: LeasedAccount) -> LeasedAccount:
        raise AssertionError("nothing is renamed by an undo")

    places = cast(Directories, _Directories(disable))
    rng = random.Random(1)
    desk = Desk(places, Sealer(b"k" * 32), Backoff(), 10, rename, all_of_them, rng)
    desk.sure = lambda: sure
    recorder = _Recorder()
    desk.recorder = cast(Recorder, recorder)
    await desk._work(cast(Creator, directory), [account], Gate())
    (result,) = recorder.results
    return result


async def test_what_is_ours_goes_by_the_id_it_has_now() -> None:
    directory = _Directory(Sighting(Whose.OURS, "e8"))
    result = await worked(directory)
    assert (result.status, result.reason) == (AccountStatus.DELETED, None)
    assert directory.calls == [("delete", "e8")]
    (sought,) = directory.sought
    assert (sought.tag, sought.entry_id, sought.password) == ("botrix:job:7", "e7", "")


async def test_it_may_be_disabled_instead() -> None:
    directory = _Directory(Sighting(Whose.OURS, "e7"))
    result = await worked(directory, disable=True)
    assert (result.status, result.reason) == (AccountStatus.DELETED, "disabled")
    assert directory.calls == [("disable", "e7")]


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (Sighting(Whose.NOBODY), "was gone already"),
        (Sighting(Whose.FOREIGN, "other"), "was gone already, its name is another's"),
        (Sighting(Whose.FOREIGN), "was gone already, its name is another's"),
        (Sighting(Whose.OTHER_JOB, "other"), "was gone already, its name is another's"),
        (Sighting(Whose.UNPROVEN, "other"), "was gone already, its name is another's"),
        (Sighting(Whose.UNPROVEN), "was gone already, its name is another's"),
    ],
)
@pytest.mark.parametrize("disable", [False, True])
async def test_what_is_not_ours_is_not_touched(seen: Sighting, reason: str, disable: bool) -> None:
    directory = _Directory(seen)
    for account in (_ACCOUNT, replace(_ACCOUNT, entry_id=None)):
        result = await worked(directory, account, disable=disable)
        assert (result.status, result.reason) == (AccountStatus.DELETED, reason)
    assert directory.calls == []


@pytest.mark.parametrize("whose", [Whose.FOREIGN, Whose.OTHER_JOB])
async def test_an_entry_that_somebody_made_his_own_stays(whose: Whose) -> None:
    directory = _Directory(Sighting(whose, "e7"))
    result = await worked(directory)
    assert (result.status, result.reason) == (AccountStatus.FAILED, "not ours any more")
    assert directory.calls == []


async def test_without_tags_the_id_tells_whose_it_is() -> None:
    directory = _Directory(Sighting(Whose.UNPROVEN, "e7"))
    assert (await worked(directory)).status is AccountStatus.DELETED
    assert directory.calls == [("delete", "e7")]


async def test_what_cannot_be_seen_is_looked_for_again() -> None:
    directory = _Directory(Sighting(Whose.UNSURE, None, "busy", counted=False, retry_after=9.0))
    result = await worked(directory)
    assert (result.status, result.detail, result.counted) == (AccountStatus.UNSURE, "busy", False)
    assert result.delay >= 9
    assert directory.calls == []


async def test_an_answer_that_was_lost_is_in_doubt() -> None:
    unheard = Outcome(OutcomeKind.UNKNOWN, None, "no clear answer")
    result = await worked(_Directory(Sighting(Whose.OURS, "e7"), unheard))
    assert (result.status, result.in_doubt) == (AccountStatus.UNSURE, True)
    again = replace(_ACCOUNT, attempt=2, find_first=True, in_doubt=True)
    result = await worked(_Directory(Sighting(Whose.NOBODY)), again)
    assert (result.status, result.reason) == (AccountStatus.DELETED, "gone when looked for again")


async def test_what_goes_between_the_look_and_the_call_is_gone() -> None:
    result = await worked(_Directory(Sighting(Whose.OURS, "e7"), _NO_ENTRY))
    assert (result.status, result.reason) == (AccountStatus.DELETED, "was gone already")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Outcome(OutcomeKind.REJECTED, None, "rejected", "protected"), AccountStatus.FAILED),
        (Outcome(OutcomeKind.CONFLICT, None, "in use"), AccountStatus.FAILED),
        (Outcome(OutcomeKind.RETRY, None, "busy"), AccountStatus.PLANNED),
    ],
)
async def test_a_refusal_is_told(answer: Outcome, status: AccountStatus) -> None:
    result = await worked(_Directory(Sighting(Whose.OURS, "e7"), answer))
    assert (result.status, result.reason, result.detail) == (status, answer.reason, answer.detail)


async def test_nothing_is_removed_once_the_lease_is_in_doubt() -> None:
    directory = _Directory(Sighting(Whose.OURS, "e7"))
    result = await worked(directory, sure=False)
    assert (result.status, result.counted) == (AccountStatus.UNSURE, False)
    assert directory.calls == []


@pytest.mark.parametrize(
    ("whose", "status"),
    [
        (Whose.OURS, AccountStatus.PLANNED),  # which the ledger makes cancelled
        (Whose.NOBODY, AccountStatus.DELETED),
        (Whose.UNSURE, AccountStatus.UNSURE),
    ],
)
async def test_a_cancelled_undo_only_looks(whose: Whose, status: AccountStatus) -> None:
    directory = _Directory(Sighting(whose, "e7"))
    cancelled = replace(_ACCOUNT, attempt=2, find_first=True, find_only=True)
    assert (await worked(directory, cancelled)).status is status
    assert directory.calls == []


async def test_a_directory_that_stays_unclear_ends_it() -> None:
    directory = _Directory(Sighting(Whose.UNSURE, None, "no"))
    result = await worked(directory, replace(_ACCOUNT, attempt=4, tries_left=1, tries_used=3))
    assert (result.status, result.reason) == (AccountStatus.FAILED, "in doubt")


def test_what_is_to_be_removed_bears_the_tag_of_who_made_it() -> None:
    assert _ACCOUNT.tag == "botrix:job:7"
    assert replace(_ACCOUNT, undoes=None).tag == "botrix:undo:5"
    kept: Any = _ACCOUNT.key
    assert kept == ("undo", 5)
