"""Looks at the directory once more after a job has ended with failed or cancelled accounts.

These two are provisional: a call of a worker that stood still may land after its account was given
up (a fence on writes to the ledger does not cover it). So once a lease and the longest call have
passed, each account that a call may have been made for is looked for. What landed as failed is
adopted, what landed as cancelled is removed, and only what bears our tag.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

from botrix.creators.creator import Creator, Sighting, Wanted, Whose
from botrix.errors import BotrixError, LedgerError, LineDown
from botrix.ledger.ledger import Ledger, Provisional, Recorded
from botrix.line.line import Line
from botrix.model import AccountStatus, LeasedAccount, OutcomeKind, Result
from botrix.services import Directories
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

    async def tick(self) -> bool:
        """One job. True where there may be another."""
        job = await self._ledger.look_again(self._session, self._settled)
        if job is None:
            return False
        done = await self._look(job)
        await self._ledger.looked_again(self._session, job, done=done)
        return True

    async def _look(self, job: Provisional) -> bool:
        """Whether every account was seen; else the job is taken up once more later."""
        try:
            creator = await self._directories.creator(job.tenant_id, job.directory)
        except LedgerError:
            raise
        except BotrixError as error:
            _log.warning("cannot look again: %s", error, extra={"job": job.job_id})
            return False
        after, sure = -1, True
        while accounts := await self._ledger.provisional(job.job_id, after, _PAGE):
            after = accounts[-1].index
            sightings = await creator.find([_wanted(account) for account in accounts])
            sure = sure and all(one.whose is not Whose.UNSURE for one in sightings)
            late = [
                (account, one)
                for account, one in zip(accounts, sightings, strict=True)
                if one.whose is Whose.OURS
            ]
            sure = await self._settle(creator, late) and sure
        return sure

    async def _settle(
        self, creator: Creator, late: Sequence[tuple[LeasedAccount, Sighting]]
    ) -> bool:
        """Adopts or removes what landed; whether all that was to go is gone."""
        results, gone = [], True
        for account, sighting in late:
            if not account.find_only:
                results.append(_landed(account, sighting, AccountStatus.CREATED))
            elif await _removed(creator, sighting):
                results.append(_landed(account, sighting, AccountStatus.DELETED))
            else:
                gone = False
        if results:
            await self._publish(await self._ledger.landed(self._session, results))
        return gone

    async def _publish(self, recorded: Recorded) -> None:
        try:
            for job in recorded.jobs:
                shown = await self._ledger.first_results(job.id, SHOWN_ACCOUNTS)
                changed = dataclasses.replace(update(job, shown), forced=True)
                await self._line.publish([changed])
                _log.info("landed late", extra={"job": job.id, "accounts": recorded.accepted})
        except LineDown as error:
            _log.debug("not published: %s", error)


async def _removed(creator: Creator, sighting: Sighting) -> bool:
    outcome = await creator.delete(sighting.entry_id or "")
    gone = outcome.kind is OutcomeKind.REJECTED and outcome.reason == "no such entry"
    return gone or outcome.kind is OutcomeKind.CREATED


def _wanted(account: LeasedAccount) -> Wanted:
    """Nothing is created, so no password is needed."""
    return Wanted(account.tag, account.person, "", account.unguessable)


def _landed(account: LeasedAccount, sighting: Sighting, status: AccountStatus) -> Result:
    return Result(
        account.job_id, account.index, account.attempt, status, sighting.entry_id, "landed late",
        "a call that was given up had reached the directory after all",
    )  # fmt: skip
