"""Looks what a directory has under the names of accounts, and whose it is.

`Seeing` stands between an attempt and a creator: that another job made an entry counts for
something only where it is a job of the same tenant, which the ledger tells and no tag. `look` is
what a plan does with an account: nothing is created or changed.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Awaitable, Callable, Collection, Sequence

from botrix.creators.creator import Creator, Member, Sighting, Wanted, Whose
from botrix.creators.gate import only_looks
from botrix.model import LeasedAccount, Outcome, OutcomeKind, job_of
from botrix.states import OnConflict, Prospect

ThoseOf = Callable[[str, Collection[str]], Awaitable[set[str]]]
"""(tenant, ids of jobs) -> those that the tenant has."""
_NOT_KNOWN = "it bears the tag of a job that is not known here"


class Seeing:
    """A creator that tells whose jobs are meant. Raises LedgerDown where that cannot be told."""

    def __init__(
        self,
        creator: Creator,
        tenant: str,
        those_of: ThoseOf,
        took: Callable[[float], None] = lambda _: None,
    ) -> None:
        """took: told the seconds of each call that creates."""
        self._creator = creator
        self._tenant = tenant
        self._those_of = those_of
        self._took = took

    async def create(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]:
        began = time.monotonic()
        created = await self._creator.create(wanted)
        self._took(time.monotonic() - began)
        return created

    async def join(self, members: Sequence[Member]) -> Sequence[Outcome]:
        return await self._creator.join(members)

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]:
        sightings = await self._creator.find(wanted)
        named = {job_of(one.tag) for one in sightings if one.whose is Whose.OTHER_JOB}
        if not named:
            return sightings
        ours = await self._those_of(self._tenant, named - {""})
        return [_told(one, ours) for one in sightings]


def _told(sighting: Sighting, ours: Collection[str]) -> Sighting:
    if sighting.whose is not Whose.OTHER_JOB or job_of(sighting.tag) in ours:
        return sighting
    return dataclasses.replace(sighting, whose=Whose.FOREIGN, detail=_NOT_KNOWN)


async def look(
    creator: Seeing, accounts: Sequence[LeasedAccount], wanted: Sequence[Wanted]
) -> list[Outcome]:
    """What would become of each, in order; how long that takes tells what the directory bears."""
    before = only_looks.set(True)
    try:
        sightings = await creator.find(wanted)
    finally:
        only_looks.reset(before)
    return [_foreseen(a, s) for a, s in zip(accounts, sightings, strict=True)]


def _foreseen(account: LeasedAccount, sighting: Sighting) -> Outcome:
    match sighting.whose:
        case Whose.NOBODY | Whose.OURS:
            return _looked(Prospect.CREATE)
        case Whose.OTHER_JOB if account.on_conflict is OnConflict.SKIP:
            return _looked(Prospect.ADOPT)
        case Whose.UNSURE:
            return Outcome(
                OutcomeKind.RETRY, None, "not looked up", sighting.detail, sighting.retry_after,
                sighting.counted,
            )  # fmt: skip
        case Whose.FOREIGN if account.unguessable:  # it would get another name
            return _looked(Prospect.CREATE)
        case _:
            return _looked(Prospect.CONFLICT)


def _looked(prospect: Prospect) -> Outcome:
    return Outcome(OutcomeKind.LOOKED, prospect=prospect)
