"""Looks at the directory once more after a job has ended with failed or cancelled accounts.

These two are provisional: a call of a worker that stood still may land after its account was given
up (a fence on writes to the ledger does not cover it). So once a lease and the longest call have
passed, each account that a call may have been made for is looked for. What landed as failed is
put into its groups and adopted, what landed as cancelled is removed, and only what bears our tag.
Since a process may stand still for longer than anybody waits, the look is repeated for a day, ever
less often.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from botrix.creators.creator import Creator, Wanted, Whose
from botrix.errors import BotrixError, LedgerError, LineDown
from botrix.ledger.ledger import Found, Ledger, Provisional, Recorded
from botrix.line.line import Line
from botrix.model import LeasedAccount, OutcomeKind
from botrix.services import Directories
from botrix.states import AccountStatus, DirectoryStatus
from botrix.worker.attempt import member_of
from botrix.worker.events import SHOWN_ACCOUNTS, update

_log = logging.getLogger(__name__)
_PAGE = 200


class Reconciler:
    """settled: seconds after a job's end from which on nothing can land any more."""

    name = "reconciler"

    def __init__(
        self, session: str, ledger: Ledger, line: Line, directories: Directories, settled: float
    ) -> None:
        self.interval = min(5.0, settled / 4)
        self._session = session
        self._ledger = ledger
        self._line = line
        self._directories = directories
        self._settled = settled
        self.quiet: Callable[[], bool] = lambda: False  # replaced by the session's desk

    async def tick(self) -> bool:
        """One job. True where there may be another."""
        if self.quiet():
            return False
        job = await self._ledger.look_again(self._session, self._settled)
        if job is None:
            return False
        done = await self._look(job)
        await self._ledger.looked_again(self._session, job, done=done)
        return True

    async def _look(self, job: Provisional) -> bool:
        """Whether every account was seen; else the job is taken up once more later, as where its
        directory is to be left alone."""
        standing = await self._ledger.standing(job.tenant_id, job.directory)
        if standing and standing.governed.mood.status is DirectoryStatus.PAUSED:
            return False
        try:
            creator = await self._directories.creator(job.tenant_id, job.directory)
        except LedgerError:
            raise
        except BotrixError as error:
            _log.warning(
                "what failed cannot be looked for once more yet: %s",
                error,
                extra={"job": job.job_id},
            )
            return False
        after, sure = -1, True
        while page := await self._ledger.provisional(job.job_id, after, _PAGE):
            after = page[-1].account.index
            sightings = await creator.find([_wanted(late.account) for late in page])
            sure = sure and all(one.whose is not Whose.UNSURE for one in sightings)
            landed = [
                Found(late, one.entry_id)
                for late, one in zip(page, sightings, strict=True)
                if one.whose is Whose.OURS
            ]
            sure = await self._settle(creator, landed) and sure
        return sure

    async def _settle(self, creator: Creator, landed: Sequence[Found]) -> bool:
        """Adopts or removes what landed. False where another look soon may do more: a call was not
        answered, or not done yet. Who is refused by his groups stays as he was until later."""
        adopted = [one for one in landed if one.becomes is AccountStatus.CREATED]
        removed = [one for one in landed if one.becomes is not AccountStatus.CREATED]
        settled = [one for one in removed if await _is_gone(creator, one)]
        joined = await _joined(creator, adopted)
        settled += [one for one, kind in joined if kind is OutcomeKind.CREATED]
        refused = [one for one, kind in joined if kind is OutcomeKind.REJECTED]
        if settled:
            await self._publish(await self._ledger.landed(self._session, settled))
        return len(settled) + len(refused) == len(landed)

    async def _publish(self, recorded: Recorded) -> None:
        try:
            for job in recorded.jobs:
                shown = await self._ledger.first_results(job.id, SHOWN_ACCOUNTS)
                changed = replace(update(job, shown), forced=True)
                await self._line.publish([changed])
                text = "%d accounts had landed late; they are put right"
                _log.info(text, recorded.accepted, extra={"job": job.id})
        except LineDown as error:
            _log.debug("not published: %s", error)


async def _joined(creator: Creator, adopted: Sequence[Found]) -> list[tuple[Found, OutcomeKind]]:
    """What came of putting each into his groups; who has none is in them."""
    among = [one for one in adopted if one.late.account.person.groups]
    done = [(one, OutcomeKind.CREATED) for one in adopted if not one.late.account.person.groups]
    if not among:
        return done
    members = [member_of(one.late.account.person, one.entry_id) for one in among]
    outcomes = await creator.join(members)
    return done + [(one, o.kind) for one, o in zip(among, outcomes, strict=True)]


async def _is_gone(creator: Creator, found: Found) -> bool:
    outcome = await creator.delete(found.entry_id or "")
    gone = outcome.kind is OutcomeKind.REJECTED and outcome.reason == "no such entry"
    return gone or outcome.kind is OutcomeKind.CREATED


def _wanted(account: LeasedAccount) -> Wanted:
    """Nothing is created, so no password is needed."""
    return Wanted(account.tag, account.person, "", account.unguessable)
