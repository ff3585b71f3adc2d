"""One attempt at a batch of accounts: find what may be there already, create the rest, and where an
answer was lost or a name was taken, look whose entry it is. Never raises for what a directory says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from botrix.creators.creator import Member, Sighting, Wanted, Whose
from botrix.model import LeasedAccount, Outcome, OutcomeKind, Person


class Seen(Protocol):
    """What an attempt asks of a creator."""

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]: ...

    async def create(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]: ...

    async def join(self, members: Sequence[Member]) -> Sequence[Outcome]: ...


NAME_TAKEN = "name taken"
NOT_SURE = Outcome(OutcomeKind.UNKNOWN, reason="lease in doubt", counted=False)
_LOOK_AGAIN = (OutcomeKind.UNKNOWN, OutcomeKind.CONFLICT)


async def attempt(
    creator: Seen,
    accounts: Sequence[LeasedAccount],
    wanted: Sequence[Wanted],
    sure: Callable[[], bool],
) -> list[Outcome]:
    """One outcome for each account, in order. sure: whether the lease surely holds yet; looked at
    just before anything is created, for this process may have stood still since it was claimed."""
    outcomes: list[Outcome | None] = [None] * len(accounts)
    await _find_those_in_doubt(creator, accounts, wanted, outcomes)
    if not sure():
        pairs = zip(wanted, outcomes, strict=True)
        return [NOT_SURE if o is None or _is_to_join(one, o) else o for one, o in pairs]
    await _create_the_rest(creator, wanted, outcomes)
    await _look_again(creator, wanted, outcomes)
    await _join_groups(creator, wanted, outcomes)
    return [outcome or Outcome(OutcomeKind.UNKNOWN, reason="no answer") for outcome in outcomes]


async def _find_those_in_doubt(
    creator: Seen,
    accounts: Sequence[LeasedAccount],
    wanted: Sequence[Wanted],
    outcomes: list[Outcome | None],
) -> None:
    doubtful = [i for i, a in enumerate(accounts) if a.find_first or a.find_only]
    if not doubtful:
        return
    sightings = await creator.find([wanted[i] for i in doubtful])
    for i, sighting in zip(doubtful, sightings, strict=True):
        if accounts[i].find_only and sighting.whose not in (Whose.OURS, Whose.UNSURE):
            outcomes[i] = Outcome(OutcomeKind.RETRY, reason="cancelled")
        elif sighting.whose is not Whose.NOBODY:
            outcomes[i] = _seen(sighting)


async def _create_the_rest(
    creator: Seen, wanted: Sequence[Wanted], outcomes: list[Outcome | None]
) -> None:
    rest = [i for i, outcome in enumerate(outcomes) if outcome is None]
    if not rest:
        return
    created = await creator.create([wanted[i] for i in rest])
    for i, outcome in zip(rest, created, strict=True):
        outcomes[i] = outcome


async def _look_again(
    creator: Seen, wanted: Sequence[Wanted], outcomes: list[Outcome | None]
) -> None:
    lost = [i for i, o in enumerate(outcomes) if o is not None and o.kind in _LOOK_AGAIN]
    if not lost:
        return
    sightings = await creator.find([wanted[i] for i in lost])
    for i, sighting in zip(lost, sightings, strict=True):
        before = outcomes[i]
        if sighting.whose is not Whose.NOBODY:
            answered = before is not None and before.kind is OutcomeKind.CONFLICT
            outcomes[i] = msgspec.structs.replace(_seen(sighting), in_doubt=not answered)
        elif before is not None and before.kind is OutcomeKind.CONFLICT:
            # Refused as a duplicate that nobody can see yet: the directory is catching up.
            outcomes[i] = Outcome(
                OutcomeKind.UNKNOWN, None, "not visible yet", before.detail, counted=False
            )


async def _join_groups(
    creator: Seen, wanted: Sequence[Wanted], outcomes: list[Outcome | None]
) -> None:
    """Of what is ours now. Who is not in his groups yet is found, and put into them, later."""
    members: dict[int, Member] = {}
    for i, (one, outcome) in enumerate(zip(wanted, outcomes, strict=True)):
        if outcome is not None and _is_to_join(one, outcome):
            members[i] = member_of(one.person, outcome.entry_id)
    if not members:
        return
    joined = await creator.join(list(members.values()))
    for (i, member), outcome in zip(members.items(), joined, strict=True):
        if outcome.kind is not OutcomeKind.CREATED:
            outcomes[i] = msgspec.structs.replace(
                outcome,
                kind=OutcomeKind.UNKNOWN,
                entry_id=member.entry_id,
                reason=f"not in its groups: {outcome.reason or outcome.kind}",
            )


def _is_to_join(one: Wanted, outcome: Outcome) -> bool:
    return bool(one.person.groups) and outcome.kind is OutcomeKind.CREATED


def member_of(person: Person, entry_id: str | None) -> Member:
    """As `join` wants it."""
    return Member(entry_id or "", person.username, person.groups)


def _seen(sighting: Sighting) -> Outcome:
    match sighting.whose:
        case Whose.OURS:
            return Outcome(OutcomeKind.CREATED, sighting.entry_id, "adopted")
        case Whose.OTHER_JOB:
            return Outcome(OutcomeKind.EXISTING, sighting.entry_id, "created by another job")
        case Whose.FOREIGN:
            detail = sighting.detail or "an account of this name exists and is not ours"
            return Outcome(OutcomeKind.CONFLICT, sighting.entry_id, NAME_TAKEN, detail)
        case Whose.UNPROVEN:
            detail = f"an account of this name exists: {sighting.detail}, so whose it is is unknown"
            return Outcome(OutcomeKind.CONFLICT, sighting.entry_id, "ownership unknown", detail)
        case _:
            return in_doubt(sighting)


def in_doubt(sighting: Sighting) -> Outcome:
    """Of an account that the directory did not show, nor say that it is not there."""
    return Outcome(
        OutcomeKind.UNKNOWN, None, "in doubt", sighting.detail, sighting.retry_after,
        sighting.counted,
    )  # fmt: skip
