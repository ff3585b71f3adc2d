"""Changes what somebody chose. At the directory only one thing is ever done: an entry is deleted
that bears a tag of ours, right after it was looked at once more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from botrix.creators.creator import Creator, Member, Wanted, Whose
from botrix.ledger.mending import Mend, Mending
from botrix.ledger.reconciling import Reconciling
from botrix.model import OutcomeKind, Person, tag_of
from botrix.reconcile.comparing import NOBODY, TAKEN
from botrix.reconcile.findings import Finding, Findings, What
from botrix.reconcile.looking import NO_ACCOUNT, NO_JOB, PURGED
from botrix.states import AccountStatus

_FAILED, _CANCELLED, _DELETED = "failed", "cancelled", "deleted"
_REMOVED_ROWS = (_CANCELLED, _DELETED)
_OWNERLESS = (NO_ACCOUNT, PURGED)

Sealed = Callable[[str, int], bytes]
"""(job, index) -> a new password, sealed."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be mended. also_of: jobs that no record names, whose entries may be removed."""

    recreate: bool = False
    forget: bool = False
    accept: bool = False
    adopt: bool = False
    remove: bool = False
    also_of: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        return self.recreate or self.forget or self.accept or self.adopt or self.remove

    @property
    def gone(self) -> tuple[str, ...]:
        """Which of the missing are noted as deleted: those that are not made anew."""
        return (TAKEN,) if self.recreate else ()

    def plan(self, findings: Findings) -> dict[str, int]:
        """How many each would be about."""
        removable = sum(1 for _ in self.removable(findings))
        counts = {
            "to be made anew": self.recreate and findings.count(What.MISSING, NOBODY),
            "to be noted as deleted": self.forget and findings.count(What.MISSING, *self.gone),
            "to be taken over into the ledger": self.accept and findings.count(What.CHANGED),
            "to be adopted": self.adopt and findings.count(What.UNKNOWN, _FAILED),
            "to be removed at the directory": self.remove and removable,
        }
        return {what: n for what, n in counts.items() if n}

    def removable(self, findings: Findings) -> Iterator[Finding]:
        """One by one; what is unknown since another Botrix may have made it stays, unless its job
        is named."""
        for one in _each(findings, What.UNKNOWN, *_REMOVED_ROWS, *_OWNERLESS, NO_JOB):
            if one.reason != NO_JOB or one.job_id in self.also_of:
                yield one


class Mender:
    """sealed: see Sealed. opened: hears of each job that has work again."""

    def __init__(
        self, ledger: Reconciling, mending: Mending, creator: Creator, findings: Findings,
        sealed: Sealed, opened: Callable[[str], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._mending = mending
        self._creator = creator
        self._findings = findings
        self._sealed = sealed
        self._opened = opened

    async def mend(self, wish: Wish) -> None:
        """In an order in which none undoes another."""
        if wish.adopt:
            await self._by_job(self._adopt, What.UNKNOWN, _FAILED)
        if wish.accept:
            await self._by_job(self._accept, What.CHANGED)
        if wish.recreate:
            await self._by_job(self._anew, What.MISSING, NOBODY)
        if wish.forget:
            await self._by_job(self._forget, What.MISSING, *wish.gone)
        if wish.remove:
            for one in wish.removable(self._findings):
                await self._remove(one)

    async def _by_job(
        self, step: Callable[[str, list[Finding]], Awaitable[None]], what: What, *reasons: str
    ) -> None:
        after = 0
        while page := self._findings.page(what, *reasons, after=after):
            after = page[-1].n
            for job_id, some in groupby(page, key=lambda one: one.job_id):
                await step(job_id, list(some))

    async def _forget(self, job_id: str, some: list[Finding]) -> None:
        self._note(some, await self._mending.forget(job_id, _mends(some)), "noted as deleted")

    async def _accept(self, job_id: str, some: list[Finding]) -> None:
        """What the ledger has no place for stays different: that it is disabled, or another tag."""
        done = set(await self._mending.accept(job_id, _mends(some)))
        for one in some:
            if one.idx in done and not {"disabled", "tag"} & set(one.reason.split(", ")):
                self._findings.mended(one, "taken over")

    async def _anew(self, job_id: str, some: list[Finding]) -> None:
        done = await self._mending.anew(
            job_id, _mends(some), lambda index: self._sealed(job_id, index)
        )
        self._note(some, done, "to be made anew")
        if done:
            await self._opened(job_id)

    async def _adopt(self, job_id: str, some: list[Finding]) -> None:
        """Those that could be put into their groups."""
        persons = await self._ledger.persons(job_id, [one.idx for one in some])
        some = [one for one in some if one.idx in persons]
        grouped = [one for one in some if persons[one.idx].groups]
        members = [Member(one.entry_id, one.username, persons[one.idx].groups) for one in grouped]
        outcomes = await self._creator.join(members) if members else []
        out = {
            one.idx for one, outcome in zip(grouped, outcomes, strict=True)
            if outcome.kind is not OutcomeKind.CREATED
        }  # fmt: skip
        joined = [one for one in some if one.idx not in out]
        mends = [Mend(o.idx, o.attempt, o.entry_id, AccountStatus.FAILED) for o in joined]
        self._note(joined, await self._mending.adopt(job_id, mends), "adopted")

    async def _remove(self, one: Finding) -> None:
        """Only what still bears the very tag under the very id, and whose account, if there is one,
        is still in the state that it had."""
        tag = tag_of(one.job_id, one.idx)
        (seen,) = await self._creator.find([Wanted(tag, Person(one.username, "", "", "", ""), "")])
        ours = seen.whose is Whose.OURS and seen.tag == tag and seen.entry_id == one.entry_id
        if not ours or not await self._is_unwanted(one):
            return
        await self._mending.note_removal(tag)
        outcome = await self._creator.delete(one.entry_id)
        gone = outcome.kind is OutcomeKind.REJECTED and outcome.reason == "no such entry"
        if outcome.kind is not OutcomeKind.CREATED and not gone:
            return
        if one.reason in _REMOVED_ROWS:
            mend = Mend(one.idx, one.attempt, one.entry_id, AccountStatus(one.reason))
            await self._mending.removed(one.job_id, [mend])
        self._findings.mended(one, "removed")

    async def _is_unwanted(self, one: Finding) -> bool:
        known = (await self._ledger.known([(one.job_id, one.idx)])).get((one.job_id, one.idx))
        if known is None:
            return one.reason in (PURGED, NO_JOB)
        if known.status is None:
            return one.reason == NO_ACCOUNT
        return (known.status.value, known.attempt) == (one.reason, one.attempt)

    def _note(self, some: Sequence[Finding], done: Sequence[int], how: str) -> None:
        changed = set(done)
        for one in some:
            if one.idx in changed:
                self._findings.mended(one, how)


def _mends(some: Sequence[Finding]) -> list[Mend]:
    return [Mend(one.idx, one.attempt, seen=one.seen) for one in some]


def _each(findings: Findings, what: What, *reasons: str) -> Iterator[Finding]:
    after = 0
    while page := findings.page(what, *reasons, after=after):
        after = page[-1].n
        yield from page
