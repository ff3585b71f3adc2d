"""Walks the ledger, then the list of what is ours at the directory; one page of each in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from botrix.creators.creator import Creator, Entry, Sighting, Wanted, Whose
from botrix.ledger.reconciling import Job, Key, Known, Reconciling, Row
from botrix.model import DISABLED
from botrix.reconcile.comparing import compared, same_name
from botrix.reconcile.findings import Finding, Findings, What
from botrix.states import AccountStatus

_PAGE = 200
_ASKED = 3
_LONGEST_WAIT = 10.0
_MOST_REMEMBERED = 10_000
_ENDED = (AccountStatus.FAILED, AccountStatus.CANCELLED, AccountStatus.DELETED)
NO_ACCOUNT, PURGED, NO_JOB, SECOND, ENABLED = (
    "no such account", "job purged", "no such job", "a second entry", "enabled again",
)  # fmt: skip
"""Why an entry with a tag of ours is unknown, beside the states in which an account may end."""


@dataclass(slots=True)
class Tally:
    """looked: accounts of the ledger that were compared. entries: with a tag of ours; others: of
    other tenants; underway: of accounts that are still worked at. undoing: jobs that are left alone
    since they are being undone. problem: why the list of what is ours is not whole; keeps_tags:
    False where there can be none."""

    looked: int = 0
    entries: int = 0
    others: int = 0
    underway: int = 0
    undoing: int = 0
    problem: str = ""
    keeps_tags: bool = True


class Look:
    """seen: hears of each n accounts, or entries."""

    def __init__(
        self, tenant: str, ledger: Reconciling, creator: Creator, findings: Findings, tally: Tally,
        seen: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._tenant = tenant
        self._ledger = ledger
        self._creator = creator
        self._findings = findings
        self._tally = tally
        self._seen = seen
        self._recorded: dict[str, str | None] = {}

    async def directory(self, name: str) -> None:
        """All of it."""
        last = None
        while page := await self._ledger.jobs(self._tenant, name, last, _PAGE):
            for job in page:
                await self.job(job)
            last = page[-1]
        await self.ours()

    async def job(self, job: Job) -> None:
        """Those that it created."""
        if job.undoing:
            self._tally.undoing += 1
            return
        after = -1
        while rows := await self._ledger.created(job.id, after, _PAGE):
            after = rows[-1].idx
            for row, sighting in zip(rows, await self._find(rows), strict=True):
                self._compare(row, sighting)
            self._tally.looked += len(rows)
            self._seen(len(rows))

    async def ours(self, of: str | None = None) -> None:
        """What the directory has with a tag of ours. of: tells what was missed of this job, which
        may be there under another name, and nothing else."""
        after = None
        while True:
            page = await self._creator.ours(after)
            entries = [entry for entry in page.entries if _key(entry) is not None]
            if of is not None:
                entries = [entry for entry in entries if _key_of(entry)[0] == of]
            await self._judge(entries, renamed_only=of is not None)
            self._tally.problem, self._tally.keeps_tags = page.problem, page.keeps_tags
            if page.next is None or page.problem:
                return
            after = page.next

    async def _find(self, rows: Sequence[Row]) -> Sequence[Sighting]:
        """Once more for those that the directory did not tell of, after a while."""
        wanted = [Wanted(row.tag, row.person, "", row.unguessable) for row in rows]
        seen = list(await self._creator.find(wanted))
        for n in range(1, _ASKED):
            unsure = [i for i, one in enumerate(seen) if one.whose is Whose.UNSURE]
            if not unsure:
                break
            asked = max(seen[i].retry_after or 0.0 for i in unsure)
            await asyncio.sleep(min(max(asked, float(n)), _LONGEST_WAIT))
            again = await self._creator.find([wanted[i] for i in unsure])
            for i, one in zip(unsure, again, strict=True):
                seen[i] = one
        return seen

    def _compare(self, row: Row, sighting: Sighting) -> None:
        found = compared(row, sighting)
        if found is not None:
            told = (found.what, found.reason, row.job_id, row.idx, row.person.username)
            kept = (row.entry_id or "", row.attempt, found.detail, found.seen)
            self._findings.add(Finding(*told, *kept))

    async def _judge(self, entries: Sequence[Entry], *, renamed_only: bool) -> None:
        known = await self._ledger.known({_key_of(entry) for entry in entries})
        await self._recall({_key_of(one)[0] for one in entries if _key_of(one) not in known})
        for entry in entries:
            key = _key_of(entry)
            found = known.get(key)
            if found is not None and found.status is AccountStatus.CREATED:
                self._of_created(entry, key, found, renamed_only)
            elif not renamed_only:
                self._of_no_account(entry, key, found)
        self._seen(0 if renamed_only else len(entries))

    def _of_created(self, entry: Entry, key: Key, found: Known, renamed_only: bool) -> None:
        if found.tenant_id != self._tenant:
            self._tally.others += not renamed_only
            return
        self._tally.entries += not renamed_only
        if same_name(entry.username, found.username):
            return
        seen = {**(entry.fields or {}), "username": entry.username, "entry_id": entry.entry_id}
        missed = self._findings.renamed(*key, entry.username, seen)
        if not missed and not renamed_only and entry.entry_id != found.entry_id:
            self._unknown(entry, key, SECOND, "its account has another entry; look which is right")

    def _of_no_account(self, entry: Entry, key: Key, found: Known | None) -> None:
        tenant = found.tenant_id if found else self._recorded.get(key[0])
        if tenant not in (self._tenant, None):
            self._tally.others += 1
            return
        self._tally.entries += 1
        if found is None:
            reason = PURGED if tenant else NO_JOB
            why = "was purged" if tenant else "is not known here; it may be another Botrix's"
            self._unknown(entry, key, reason, f"its job {why}")
        elif found.status is None:
            self._unknown(entry, key, NO_ACCOUNT, "its job has no such account")
        elif found.status is AccountStatus.DELETED and found.reason == DISABLED:
            if entry.active:
                self._unknown(entry, key, ENABLED, "an undo had disabled it; disable it there")
        elif found.status in _ENDED:
            told = f"its account is {found.status}"
            self._unknown(entry, key, found.status.value, told, found.attempt)
        elif found.status is not AccountStatus.EXISTING:
            self._tally.underway += 1

    def _unknown(self, entry: Entry, key: Key, reason: str, detail: str, attempt: int = 0) -> None:
        told = (What.UNKNOWN, reason, *key, entry.username, entry.entry_id, attempt, detail)
        self._findings.add(Finding(*told))

    async def _recall(self, ids: set[str]) -> None:
        """Whose the jobs were that are gone."""
        if len(self._recorded) > _MOST_REMEMBERED:
            self._recorded.clear()
        if asked := ids - self._recorded.keys():
            self._recorded.update(dict.fromkeys(asked))
            self._recorded.update(await self._ledger.recorded(asked))


def _key(entry: Entry) -> Key | None:
    """None for a tag that no account of ours can have."""
    kind, _, rest = (entry.tag or "").partition(":")
    job, _, index = rest.rpartition(":")
    number = index.isascii() and index.isdigit() and len(index) < 10
    return (job, int(index)) if kind == "botrix" and job and number else None


def _key_of(entry: Entry) -> Key:
    return _key(entry) or ("", -1)
