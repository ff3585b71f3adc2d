"""Who is to be in groups is created only once he is in them; who cannot be put there is not lost,
and is never made twice."""

from __future__ import annotations

import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from botrix.creators.creator import Creator, Member, Sighting, Wanted, Whose
from botrix.identity import Planner
from botrix.ledger.ledger import Found, Late, Ledger, Recorded
from botrix.line.line import Line
from botrix.model import LeasedAccount, Outcome, OutcomeKind, Person, Result
from botrix.retry import Backoff, decide
from botrix.services import Directories
from botrix.states import AccountStatus
from botrix.worker.attempt import attempt
from botrix.worker.reconciler import Reconciler
from botrix.worker.session import Session

_PUPIL = Person("n0", "e", "g", "f", "d", ("class-7b", "staff"))
_NEW = LeasedAccount("default", "d", "job", 0, 1, _PUPIL, b"", template="")
_DONE = Outcome(OutcomeKind.CREATED)
_NO_GROUP = Outcome(OutcomeKind.REJECTED, None, "no such group", "there is no group class-7b")
_BUSY = Outcome(OutcomeKind.RETRY, None, "too many requests", None, 7.0, counted=False)
_LOST = Outcome(OutcomeKind.UNKNOWN, None, "no clear answer")


class _Directory:
    """Keeps entries by name; what joins come to is scripted, and what is left of the script is
    done."""

    def __init__(self, *joins: Outcome) -> None:
        self.entries: dict[str, str] = {}
        self.creates = 0
        self.joins = list(joins)
        self.asked: list[Member] = []

    async def create(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]:
        return [self._create(one) for one in wanted]

    def _create(self, one: Wanted) -> Outcome:
        if one.person.username in self.entries:
            return Outcome(OutcomeKind.CONFLICT, None, "name taken")
        self.creates += 1
        self.entries[one.person.username] = one.tag
        return Outcome(OutcomeKind.CREATED, f"id of {one.person.username}")

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]:
        return [self._find(one) for one in wanted]

    def _find(self, one: Wanted) -> Sighting:
        name = one.person.username
        if name not in self.entries:
            return Sighting(Whose.NOBODY)
        whose = Whose.OURS if self.entries[name] == one.tag else Whose.OTHER_JOB
        return Sighting(whose, f"id of {name}")

    async def join(self, members: Sequence[Member]) -> Sequence[Outcome]:
        self.asked += members
        return [self.joins.pop(0) if self.joins else _DONE for _ in members]


def _wanted(account: LeasedAccount) -> Wanted:
    return Wanted(account.tag, account.person, "Pass-w0rd!", account.unguessable)


async def _tried(
    directory: _Directory, *accounts: LeasedAccount, sure: bool = True
) -> list[Outcome]:
    wanted = [_wanted(one) for one in accounts]
    return await attempt(cast(Creator, directory), accounts, wanted, lambda: sure)


def _decided(account: LeasedAccount, outcome: Outcome) -> Result:
    return decide(account, outcome, Backoff(), random.Random(1))


def _leased_again(account: LeasedAccount, result: Result) -> LeasedAccount:
    """As the ledger leases it after such a result."""
    return replace(
        account, attempt=account.attempt + 1, find_first=True, in_doubt=result.in_doubt,
        tries_left=account.tries_left - result.counted,
        tries_used=account.tries_used + result.counted,
    )  # fmt: skip


async def test_who_is_created_is_put_into_his_groups() -> None:
    directory = _Directory()
    other = replace(_NEW, index=1, person=Person("n1", "e", "g", "f", "d"))
    outcomes = await _tried(directory, other, _NEW)
    assert [one.kind for one in outcomes] == [OutcomeKind.CREATED] * 2
    assert directory.asked == [Member("id of n0", "n0", ("class-7b", "staff"))]


@pytest.mark.parametrize("failed", [_NO_GROUP, _BUSY, _LOST])
async def test_who_could_not_be_put_there_is_found_and_put_there_later(failed: Outcome) -> None:
    directory = _Directory(failed)
    (outcome,) = await _tried(directory, _NEW)
    assert (outcome.kind, outcome.entry_id) == (OutcomeKind.UNKNOWN, "id of n0")
    assert outcome.reason == f"not in its groups: {failed.reason}"
    assert (outcome.detail, outcome.counted) == (failed.detail, failed.counted)
    assert outcome.retry_after == failed.retry_after
    result = _decided(_NEW, outcome)
    assert result.status is AccountStatus.UNSURE
    (outcome,) = await _tried(directory, _leased_again(_NEW, result))
    assert (outcome.kind, outcome.reason) == (OutcomeKind.CREATED, "adopted")
    assert (directory.creates, len(directory.asked)) == (1, 2)


async def test_who_cannot_be_put_there_fails_with_the_reason_and_is_made_once() -> None:
    directory, account = _Directory(*[_NO_GROUP] * 9), _NEW
    results = []
    while not results or results[-1].status is not AccountStatus.FAILED:
        (outcome,) = await _tried(directory, account)
        results.append(_decided(account, outcome))
        account = _leased_again(account, results[-1])
    assert [one.status for one in results[:-1]] == [AccountStatus.UNSURE] * 3
    last = results[-1]
    assert last.reason == "not in its groups: no such group"
    assert (last.detail, last.entry_id) == ("there is no group class-7b", "id of n0")
    assert (directory.creates, directory.entries) == (1, {"n0": _NEW.tag})


async def test_it_is_not_joined_while_the_lease_is_in_doubt_nor_called_created() -> None:
    directory = _Directory()
    directory.entries["n0"] = _NEW.tag
    (outcome,) = await _tried(directory, replace(_NEW, attempt=2, find_first=True), sure=False)
    assert (outcome.kind, outcome.counted, directory.asked) == (OutcomeKind.UNKNOWN, False, [])


async def test_an_entry_of_somebody_else_is_put_nowhere() -> None:
    directory = _Directory()
    directory.entries["n0"] = "botrix:another:0"
    (outcome,) = await _tried(directory, _NEW)
    assert (outcome.kind, directory.asked) == (OutcomeKind.EXISTING, [])


async def test_a_new_name_goes_into_the_same_groups() -> None:
    class _Renaming:
        async def rename(self, *_: object) -> bool:
            return True

    session = object.__new__(Session)
    session.id = "s"
    session._services = cast(Any, SimpleNamespace(planner=Planner("x.example")))
    session._ledger = cast(Ledger, _Renaming())
    renamed = await session._rename(_NEW)
    assert renamed.person.username != "n0"
    assert renamed.person.groups == _PUPIL.groups


class _Landing:
    """A ledger that notes what landed."""

    def __init__(self) -> None:
        self.landed_: list[Found] = []

    async def landed(self, session: str, found: Sequence[Found]) -> Recorded:
        self.landed_ += found
        return Recorded(len(found))


def _late(name: str, *groups: str) -> Found:
    account = replace(_NEW, person=replace(_PUPIL, username=name, groups=groups))
    return Found(Late(account, AccountStatus.FAILED), f"id of {name}")


@pytest.mark.parametrize(
    ("outcome", "adopted", "sure"),
    [
        (_DONE, ["none", "late"], True),
        (_LOST, ["none"], False),
        (_BUSY, ["none"], False),
        (_NO_GROUP, ["none"], True),
    ],
)
async def test_what_landed_late_is_adopted_once_it_is_in_its_groups(
    outcome: Outcome, adopted: list[str], sure: bool
) -> None:
    """sure: that another look soon would see no more. Who is refused is looked for at longer
    intervals, should the group be made meanwhile."""
    ledger, directory = _Landing(), _Directory(outcome)
    reconciler = Reconciler(
        "s", cast(Ledger, ledger), cast(Line, None), cast(Directories, None), 1.0
    )
    landed = [_late("late", "staff"), _late("none")]
    assert await reconciler._settle(cast(Creator, directory), landed) is sure
    assert [one.late.account.person.username for one in ledger.landed_] == adopted
    assert directory.asked == [Member("id of late", "late", ("staff",))]
