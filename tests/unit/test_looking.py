"""What a plan sees of a directory: whose an entry is, what would become of an account, and that how
long it takes to look tells how much the directory bears."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

import pytest

from botrix.creators.creator import Creator, Sighting, Wanted, Whose
from botrix.creators.gate import Answered, Gate
from botrix.model import LeasedAccount, OutcomeKind, Person
from botrix.states import OnConflict, Prospect, Stage
from botrix.worker.looking import Seeing, look

_PERSON = Person("ann", "e", "g", "f", "d")
_WANTED = Wanted("botrix:job:0", _PERSON, "")


class _Directory:
    def __init__(self, sighting: Sighting) -> None:
        self.gate = Gate(4)
        self._sighting = sighting

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]:
        async with self.gate.call(len(wanted), timed=False) as call:
            call.ended(Answered.DONE)
        return [self._sighting for _ in wanted]


async def _known(_tenant: str, jobs: Collection[str]) -> set[str]:
    return set(jobs) & {"mine"}


async def _looked(sighting: Sighting, **more: Any) -> tuple[OutcomeKind, Prospect | None]:
    directory = _Directory(sighting)
    account = LeasedAccount("t", "d", "job", 0, 1, _PERSON, b"", stage=Stage.PLAN, **more)
    seeing = Seeing(cast(Creator, directory), "t", _known)
    (outcome,) = await look(seeing, [account], [_WANTED])
    assert directory.gate.tally.operations == 1
    return outcome.kind, outcome.prospect


_OTHER = Sighting(Whose.OTHER_JOB, "e1", tag="botrix:mine:3")
_STRANGE = Sighting(Whose.OTHER_JOB, "e1", tag="botrix:theirs:3")


@pytest.mark.parametrize(
    ("sighting", "more", "prospect"),
    [
        (Sighting(Whose.NOBODY), {}, Prospect.CREATE),
        (_OTHER, {}, Prospect.ADOPT),
        (_OTHER, {"on_conflict": OnConflict.FAIL}, Prospect.CONFLICT),
        (_STRANGE, {}, Prospect.CONFLICT),
        (_STRANGE, {"template": ""}, Prospect.CREATE),  # it would get another name
        (Sighting(Whose.OTHER_JOB, "e1"), {}, Prospect.CONFLICT),  # no tag proves nothing
        (Sighting(Whose.FOREIGN, "e1"), {}, Prospect.CONFLICT),
        (Sighting(Whose.UNPROVEN, "e1"), {}, Prospect.CONFLICT),
    ],
)
async def test_what_would_become_of_it(
    sighting: Sighting, more: dict[str, Any], prospect: Prospect
) -> None:
    assert await _looked(sighting, **more) == (OutcomeKind.LOOKED, prospect)


async def test_a_directory_that_does_not_tell_is_asked_again() -> None:
    assert await _looked(Sighting(Whose.UNSURE)) == (OutcomeKind.RETRY, None)


async def test_a_look_outside_of_a_plan_tells_nothing_of_what_is_borne() -> None:
    directory = _Directory(Sighting(Whose.NOBODY))
    await Seeing(cast(Creator, directory), "t", _known).find([_WANTED])
    assert directory.gate.tally.operations == 0
