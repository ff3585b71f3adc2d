"""The hot verbs of the ledger: what a job costs on its way from request to recorded accounts.

SqliteLedger and PostgresLedger do the same by different SQL; tests/ledger/ holds both to one suite.
Cold queries (lists, filters, imports) are in `queries.py`. All raise LedgerDown where the database
does not answer, and SessionLost where the session that asks is not live.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import msgspec

from botrix.audit import NOBODY, Act, Actor
from botrix.ledger.governing import Governing
from botrix.ledger.keeping import Keeping
from botrix.ledger.posting import Posting
from botrix.model import JobState, Lane, LeasedAccount, NewJob, Person, PlannedAccount, Result
from botrix.states import AccountStatus, Duty, Happening


class Submission(msgspec.Struct, frozen=True):
    """A job, the Idempotency-Key with the fingerprint of its body, where there is one, and whose it
    is."""

    job: NewJob
    key: str | None = None
    fingerprint: str = ""
    actor: Actor = NOBODY

    @property
    def act(self) -> Act:
        return submission(self.job, self.job.count)

    def entered(self, answer: Submitted) -> bool:
        """Whether it is a new job."""
        return answer.job_id == self.job.id and not answer.refused


def submission(job: NewJob, count: int, what: str = "job.submit") -> Act:
    """As the audit record tells it."""
    return Act(what, job.id, f"{count} accounts, directory {job.directory}", job.tenant_id)


class Submitted(msgspec.Struct, frozen=True):
    """job_id is the earlier job's where the same key and body came before (`replay`);
    clash: the key was used with another body, and nothing was written. place: None also where the
    job is to begin later. refused: why a quota of the
    tenant does not allow it; nothing was written, and the key is free. retry_after: seconds until
    it may be allowed; None where it never will be. at: when a new job was entered, by the ledger's
    clock."""

    job_id: str
    place: int | None = None
    replay: bool = False
    clash: bool = False
    refused: str = ""
    retry_after: float | None = None
    at: float | None = None


class Asked(msgspec.Struct, frozen=True, gc=False):
    """An entry of the line, as the ledger is asked; `raw` is given where it has no place."""

    id: str
    place: int | None = None
    raw: NewJob | None = None


class Verdict(StrEnum):
    """What became of an entry: taken (a slice of it, or nothing was due), stale (dropped: another
    entry stands for the job), locked (another worker is at it), over (no room left; untouched),
    rejected (a raw entry that cannot be used)."""

    TAKEN = "taken"
    STALE = "stale"
    LOCKED = "locked"
    OVER = "over"
    REJECTED = "rejected"


class Ruling(msgspec.Struct, frozen=True, gc=False):
    """The verdict on one entry; `back` is the new place where the job has work left."""

    id: str
    verdict: Verdict
    back: int | None = None
    lane: Lane = Lane.NORMAL
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """rulings in the order of the entries; started: jobs that turned running."""

    rulings: list[Ruling] = field(default_factory=list)
    accounts: list[LeasedAccount] = field(default_factory=list)
    started: list[JobState] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Recorded:
    """accepted: results that counted; stale: those refused because the lease was no longer ours.
    jobs: the rows of all jobs that moved, after the move."""

    accepted: int = 0
    stale: list[tuple[str, int]] = field(default_factory=list)
    jobs: list[JobState] = field(default_factory=list)


class Placed(msgspec.Struct, frozen=True, gc=False):
    """A job that has a new place and must be pushed."""

    id: str
    place: int
    lane: Lane


@dataclass(frozen=True, slots=True)
class Due:
    """placed: jobs of which something became claimable; jobs: those that a cancellation or a
    poisonous account moved; more: the limit cut it short, so ask again at once. freed: accounts of
    which a lease was taken back."""

    placed: list[Placed] = field(default_factory=list)
    jobs: list[JobState] = field(default_factory=list)
    more: bool = False
    freed: int = 0


@dataclass(frozen=True, slots=True)
class PeerBeat:
    """One live session as its peers see it."""

    id: str
    worker_id: str
    host: str
    pid: int
    beat: int


@dataclass(frozen=True, slots=True)
class Provisional:
    """A final job whose failed and cancelled accounts are to be looked for once more. since: set
    by the session that looks now; nobody else takes the job up until as long has passed again."""

    job_id: str
    tenant_id: str
    directory: str
    since: float


@dataclass(frozen=True, slots=True)
class Late:
    """An account that no call should be under way for any more, and the end it has."""

    account: LeasedAccount
    status: AccountStatus


LANDED = {
    AccountStatus.FAILED: (AccountStatus.CREATED, Happening.LANDED),
    AccountStatus.CANCELLED: (AccountStatus.DELETED, Happening.REMOVED),
    AccountStatus.DELETED: (AccountStatus.DELETED, Happening.REMOVED),
}
"""By the end it had: what an account becomes that landed after all, and what its history says."""
WATCHED_FOR = 86_400.0
"""Seconds after its end for which a job is looked at again, at growing intervals."""


@dataclass(frozen=True, slots=True)
class Found:
    """An account that had landed: it was adopted where it had failed, else removed once more."""

    late: Late
    entry_id: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.late.account.key

    @property
    def attempt(self) -> int:
        return self.late.account.attempt

    def counts(self) -> Counter[str]:
        """How the counters of its job move."""
        moves = Counter({self.becomes.value: 1})
        moves.subtract({self.late.status.value: 1})
        return moves

    @property
    def becomes(self) -> AccountStatus:
        return LANDED[self.late.status][0]

    @property
    def happening(self) -> Happening:
        return LANDED[self.late.status][1]


@dataclass(frozen=True, slots=True)
class DirectoryRow:
    """A configured destination; all but `kind` are JSON. secrets: sealed, in base64, by setting;
    policy: of its passwords."""

    kind: str
    config: str
    secrets: str = field(default="{}", repr=False)
    policy: str = "{}"


@dataclass(frozen=True, slots=True)
class Room:
    """How many accounts a claim may lease: `total`, of each directory as many as bring what is
    held of it (by tenant and name) to `share`, and of each tenant likewise to `tenant_share`."""

    total: int
    share: int = 1 << 30
    held: Mapping[tuple[str, str], int] = field(default_factory=dict)
    tenant_share: int = 1 << 30

    def held_of(self) -> Counter[str]:
        """By tenant."""
        counts: Counter[str] = Counter()
        for (tenant, _), n in self.held.items():
            counts[tenant] += n
        return counts


Plan = Callable[[str, str, str | None, range, str | None], list[PlannedAccount]]
"""(tenant, job, template, indexes, policy of its directory) -> accounts with everything decided;
called inside a claim."""


class Ledger(Keeping, Governing, Posting, Protocol):
    """See the module's docstring. `first_results` gives a JSON array of objects: index, username,
    status, reason; never a secret. `rename` gives a leased account another name, before its next
    call; False where the lease is no longer ours. `limit` bounds the rows that one call touches;
    the entries that one claim asks for have distinct ids.

    renew raises the session's beat, and gives back what is wanted of its worker.
    refused only notes results that came from a lost session, for the history.
    places gives those of the jobs that there are; halted, those that take nothing more: they wait
    for a person, or are being cancelled.
    open_jobs counts those of all tenants that are not final, and no further than `most`.
    sum_up makes few rows of many in `tallies`; True: there may be more.
    several_tenants tells whether there is more than one, with work or without. waiting gives, of
    the first `tenants` tenants after one (by id) that have jobs with a place, the first `limit` of
    each lane, in the order of lanes and places.
    suspects tells whether an account waits whose session was lost twice; claim_suspect leases one
    where the session holds nothing else.
    look_again takes up a final job whose time to be looked at came at least `settled` seconds ago;
    provisional pages through its failed, cancelled and deleted accounts that a call may have been
    made for; landed records those that were found there after all; looked_again says whether all
    could be seen: then the next time is three times as far off, until a day has passed."""

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]: ...

    async def open_session(
        self,
        session: str,
        worker_id: str,
        host: str,
        pid: int,
        version: str,
        wanted: Duty = Duty.WORK,
    ) -> None: ...

    async def renew(self, session: str) -> Duty | None: ...

    async def end_session(self, session: str) -> None: ...

    async def peers(self) -> list[PeerBeat]: ...

    async def mark_lost(self, session: str, seen_beat: int | None) -> bool: ...

    async def lost_sessions(self) -> list[str]: ...

    async def claim(
        self, session: str, asked: Sequence[Asked], room: Room, plan: Plan
    ) -> Claim: ...

    async def held(self, session: str) -> list[LeasedAccount]: ...

    async def rename(self, session: str, account: LeasedAccount, person: Person) -> bool: ...

    async def record(self, session: str, results: Sequence[Result]) -> Recorded: ...

    async def refused(self, session: str, results: Sequence[Result]) -> None: ...

    async def suspects(self) -> bool: ...

    async def claim_suspect(self, session: str) -> LeasedAccount | None: ...

    async def look_again(self, session: str, settled: float) -> Provisional | None: ...

    async def provisional(self, job_id: str, after: int, limit: int) -> list[Late]: ...

    async def landed(self, session: str, found: Sequence[Found]) -> Recorded: ...

    async def looked_again(self, session: str, job: Provisional, *, done: bool) -> None: ...

    async def free(self, limit: int) -> Due: ...

    async def due(self, limit: int) -> Due: ...

    async def fetch(self, limit: int) -> list[Placed]: ...

    async def passed_by(self, lane: Lane, head: int | None, limit: int) -> list[Placed]: ...

    async def open_jobs(self, most: int) -> int: ...

    async def several_tenants(self) -> bool: ...

    async def waiting(self, after: str, tenants: int, limit: int) -> dict[str, list[Placed]]: ...

    async def places(self, jobs: Sequence[str]) -> dict[str, int | None]: ...

    async def halted(self, jobs: Collection[str]) -> set[str]: ...

    async def put_back(self, seen: Mapping[str, int]) -> list[Placed]: ...

    async def sum_up(self, limit: int) -> bool: ...

    async def first_results(self, job_id: str, limit: int) -> bytes: ...

    async def those_of(self, tenant_id: str, jobs: Collection[str]) -> set[str]:
        """Of these ids, those of jobs that the tenant has."""
        ...

    async def directory(self, tenant_id: str, name: str) -> DirectoryRow | None: ...

    async def revision(self) -> str | None:
        """The revision of its schema; None where there is none."""
        ...

    async def ping(self) -> None:
        """Raises LedgerDown, also where the schema is older than this program needs."""
        ...

    async def close(self) -> None: ...
