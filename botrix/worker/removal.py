"""One attempt at removing accounts that a job created. Each is looked for first, by the tag of that
job, and only what is ours is deleted (or disabled), by the id under which it was just found. What
bears the name now and is not ours is never touched. Never raises for what a directory says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from botrix.creators.creator import Creator, Sighting, Wanted, Whose
from botrix.model import DISABLED, LeasedAccount, Outcome, OutcomeKind
from botrix.worker.attempt import NOT_SURE, in_doubt

GONE = "was gone already"
GONE_SINCE = "gone when looked for again"
"""By an earlier call of ours whose answer was lost, most likely."""
REPLACED = "was gone already, its name is another's"
NOT_OURS = "not ours any more"


async def remove(
    creator: Creator,
    accounts: Sequence[LeasedAccount],
    wanted: Sequence[Wanted],
    sure: Callable[[], bool],
    disable: bool,
) -> list[Outcome]:
    """One outcome for each account, in order. sure: whether the lease surely holds yet; looked at
    just before each call. What a call without an answer came to is for the next attempt to see."""
    sightings = await creator.find(wanted)

    async def one(account: LeasedAccount, sighting: Sighting) -> Outcome:
        outcome = _seen(account, sighting)
        if outcome is not None:
            return outcome
        return await _removed(creator, sighting.entry_id or "", disable) if sure() else NOT_SURE

    pairs = zip(accounts, sightings, strict=True)
    return list(await asyncio.gather(*(one(*pair) for pair in pairs)))


def _seen(account: LeasedAccount, sighting: Sighting) -> Outcome | None:
    """What the account came to without a call; None where it is there to be removed."""
    same = sighting.entry_id is not None and sighting.entry_id == account.entry_id
    match sighting.whose:
        case Whose.NOBODY:
            return _gone(GONE if account.attempt == 1 else GONE_SINCE)
        case Whose.UNSURE:
            return in_doubt(sighting)
        case Whose.FOREIGN | Whose.OTHER_JOB if same:
            detail = "the entry that was created bears our tag no more; if it is to go, remove it"
            return Outcome(OutcomeKind.REJECTED, sighting.entry_id, NOT_OURS, detail)
        case Whose.FOREIGN | Whose.OTHER_JOB:
            return _gone(REPLACED)
        case Whose.UNPROVEN if not same:
            return _gone(REPLACED)
    return Outcome(OutcomeKind.RETRY, reason="cancelled") if account.find_only else None


async def _removed(creator: Creator, entry_id: str, disable: bool) -> Outcome:
    outcome = await (creator.disable(entry_id) if disable else creator.delete(entry_id))
    if outcome.kind is OutcomeKind.CREATED:  # as creators say that it is done
        return Outcome(OutcomeKind.DELETED, entry_id, DISABLED if disable else None)
    if outcome.kind is OutcomeKind.REJECTED and outcome.reason == "no such entry":
        return _gone(GONE)
    return outcome


def _gone(reason: str) -> Outcome:
    return Outcome(OutcomeKind.DELETED, reason=reason)
