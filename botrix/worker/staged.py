"""One attempt at a batch of accounts, each as the stage of its job has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from botrix.creators.creator import Creator, Wanted
from botrix.model import LeasedAccount, Outcome
from botrix.services import Directories
from botrix.states import Stage
from botrix.worker.attempt import attempt
from botrix.worker.looking import Seeing, ThoseOf, look
from botrix.worker.measures import Measures
from botrix.worker.removal import remove

LOOKS = (Stage.PLAN, Stage.CHECK)


@dataclass(frozen=True, slots=True)
class Means:
    """What an attempt is made with. sure: whether the lease surely holds yet."""

    directories: Directories
    those_of: ThoseOf
    sure: Callable[[], bool]
    measures: Measures


async def as_staged(
    means: Means, creator: Creator, batch: Sequence[LeasedAccount], wanted: Sequence[Wanted]
) -> list[Outcome]:
    """One outcome for each account, in order; they are all of one directory."""
    ways = {_way(one) for one in batch}
    if len(ways) == 1:
        return await _one_way(ways.pop(), means, creator, batch, wanted)
    outcomes: dict[int, Outcome] = {}
    for way in sorted(ways):
        which = [n for n, one in enumerate(batch) if _way(one) is way]
        some, asked = [batch[n] for n in which], [wanted[n] for n in which]
        done = await _one_way(way, means, creator, some, asked)
        outcomes |= zip(which, done, strict=True)
    return [outcomes[n] for n in range(len(batch))]


def _way(account: LeasedAccount) -> Stage:
    """In which what is done with an account is the same."""
    return Stage.PLAN if account.stage in LOOKS else account.stage


async def _one_way(
    way: Stage,
    means: Means,
    creator: Creator,
    batch: Sequence[LeasedAccount],
    wanted: Sequence[Wanted],
) -> list[Outcome]:
    tenant = batch[0].tenant_id
    if way is Stage.REMOVE:
        disable = means.directories.disables(tenant, batch[0].directory)
        return await remove(creator, batch, wanted, means.sure, disable)
    took = means.measures.created((tenant, batch[0].directory))
    seeing = Seeing(creator, tenant, means.those_of, took)
    if way is Stage.PLAN:
        return await look(seeing, batch, wanted)
    return await attempt(seeing, batch, wanted, means.sure)
