"""What one claim takes, decided on rows that the database has read and locked. Pure.

Both ledgers read the jobs and their open accounts, let `Slices` rule on each entry, and write what
it gathered in as few statements as they can.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from botrix.extra import groups_of, in_groups, person_of
from botrix.ledger.ledger import Asked, Claim, Plan, Room, Ruling, Verdict
from botrix.ledger.quotas import too_many
from botrix.model import (
    POISON,
    SLICE,
    SUSPECT,
    JobState,
    JobStatus,
    Lane,
    LeasedAccount,
    NewJob,
    PlannedAccount,
    Source,
)

POISONED = ("poison", f"its worker died {POISON} times, the last time with this account alone")
"""Why such an account is set aside, and what people are told."""


class JobRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The columns of JOB, in their order. groups: JSON. policy: of its directory; None where there
    is none. away: whether its directory is paused."""

    id: str
    tenant_id: str
    status: str
    lane: str
    directory: str
    count: int
    created: int
    existing: int
    failed: int
    cancelled: int
    deleted: int
    retried: int
    place: int | None
    template: str | None
    tries: int
    next_index: int
    source: str
    groups: str | None = None
    policy: str | None = None
    away: bool | int | None = None

    def state(self, status: str) -> JobState:
        return JobState(
            self.id, self.tenant_id, JobStatus(status), Lane(self.lane), self.directory, self.count,
            self.created, self.existing, self.failed, self.cancelled, self.deleted, self.retried,
        )  # fmt: skip


_POLICY = (
    "(SELECT d.policy FROM directories d WHERE d.tenant_id = j.tenant_id AND d.name = j.directory)"
)
_AWAY = (
    "(SELECT t.status = 'paused' FROM throttles t"
    " WHERE t.tenant_id = j.tenant_id AND t.name = j.directory)"
)
JOB = ", ".join([*(f"j.{name}" for name in JobRow.__struct_fields__[:-2]), _POLICY, _AWAY])
"""What JobRow is read from, of jobs j."""
ACCOUNT_COLUMNS = (
    "a.tenant_id, j.directory, a.job_id, a.idx, a.attempt, a.username, a.email, a.given_name,"
    " a.family_name, a.display_name, a.sealed, j.tries AS promised, a.tries, a.status,"
    " j.status AS job_status,"
    " CASE WHEN j.source <> 'import' THEN coalesce(j.template, '') END AS template, a.in_doubt,"
    " a.extra"
)
"""What `leased` reads, of accounts a and jobs j."""
CLAIMABLE = f"a.status IN ('planned', 'unsure') AND a.crashes < {SUSPECT}"
"""Which accounts a claim may take again; suspects are claimed alone."""
NOT_AWAY = (
    "NOT EXISTS (SELECT 1 FROM throttles t WHERE t.tenant_id = j.tenant_id"
    " AND t.name = j.directory AND t.status || '' = 'paused')"
)
SUSPECTED = f"a.crashes >= {SUSPECT} AND a.status IN ('planned', 'unsure')"


class Move(msgspec.Struct, gc=False):
    """A job whose cursor moves. touched: it may have open accounts, so that the database must look
    whether more can be claimed."""

    id: str
    next_index: int
    left: bool
    touched: bool
    cancelling: bool


class Slices:
    """Rules on entries in order, as far as there is room."""

    def __init__(self, room: Room, plan: Plan) -> None:
        self.claim = Claim()
        self.again: list[LeasedAccount] = []
        self.new: list[tuple[str, PlannedAccount]] = []
        self.moves: list[Move] = []
        self.held: list[tuple[str, str, str]] = []
        self._room = room
        self._held = Counter(room.held)
        self._held_of = room.held_of()
        self._plan = plan

    def rule(self, one: Asked, row: JobRow, open_accounts: deque[Any]) -> None:
        """open_accounts: rows of ACCOUNT_COLUMNS that are due, at least as many as there is room
        for; those that are taken are removed."""
        lane = Lane(row.lane)
        if one.raw is None and row.place != one.place:
            self.refuse(Ruling(one.id, Verdict.STALE))
        elif one.raw is None and len(self.claim.accounts) >= self._room.total:
            self.refuse(Ruling(one.id, Verdict.OVER, lane=lane))
        elif row.away:
            self.held.append((row.id, row.tenant_id, row.directory))
            self.claim.rulings.append(Ruling(one.id, Verdict.TAKEN, lane=lane))
        else:
            self._take(row, open_accounts, self.room_for(row))
            self.claim.rulings.append(Ruling(one.id, Verdict.TAKEN, lane=lane))

    def room_for(self, row: JobRow) -> int:
        """How many accounts of this job may be leased now. Where its directory or tenant has its
        share, none: the job then gets a new place, behind those of others. Nor for less than an
        eighth of the share: who is slow would otherwise be given accounts by twos and threes, and
        each claim costs a transaction."""
        total = self._room.total - len(self.claim.accounts)
        share = self._room.share - self._held[row.tenant_id, row.directory]
        if share < self._room.share // 8:
            share = 0
        of_tenant = self._room.tenant_share - self._held_of[row.tenant_id]
        return max(0, min(SLICE, total, share, of_tenant))

    def refuse(self, ruling: Ruling) -> None:
        self.claim.rulings.append(ruling)

    def placed(self, places: Mapping[str, int | None]) -> Claim:
        """The claim, once the database has given the new places."""
        for number, ruling in enumerate(self.claim.rulings):
            place = places.get(ruling.id)
            if place is not None and ruling.verdict is Verdict.TAKEN:
                self.claim.rulings[number] = Ruling(ruling.id, Verdict.TAKEN, place, ruling.lane)
        return self.claim

    def _take(self, row: JobRow, open_accounts: deque[Any], limit: int) -> None:
        """Accounts that are due again first, then new ones at the cursor."""
        due = min(limit, len(open_accounts))
        again = [leased(open_accounts.popleft(), bump=1) for _ in range(due)]
        first = end = row.next_index
        cancelling = row.status == JobStatus.CANCELLING
        if not cancelling:
            end = min(row.count, first + limit - len(again))
        self.again.extend(again)
        self.claim.accounts.extend(again)
        if end > first:
            self._plan_new(row, range(first, end))
        self._held[row.tenant_id, row.directory] += len(again) + end - first
        self._held_of[row.tenant_id] += len(again) + end - first
        self.moves.append(Move(row.id, end, end < row.count, first > 0, cancelling))
        if row.status == JobStatus.PENDING:
            self.claim.started.append(row.state(JobStatus.RUNNING))

    def _plan_new(self, row: JobRow, indexes: range) -> None:
        new = self._plan(row.tenant_id, row.id, row.template, indexes, row.policy)
        if row.groups is not None:
            groups = groups_of(row.groups)
            new = [replace(one, person=in_groups(one.person, groups)) for one in new]
        for planned in new:
            self.new.append((row.tenant_id, planned))
            account = LeasedAccount(
                row.tenant_id, row.directory, row.id, planned.index, 1, planned.person,
                planned.sealed, tries_left=row.tries, template=row.template or "",
            )  # fmt: skip
            self.claim.accounts.append(account)


def leased(row: Iterable[Any], bump: int) -> LeasedAccount:
    """From ACCOUNT_COLUMNS; bump: how much its lease raises the attempt. What was leased before is
    looked for first, whatever was heard of it: an earlier call may have landed, or land yet."""
    values = tuple(row)
    tenant, directory, job, idx, attempt, *person = values[:10]
    sealed, promised, tries, _status, job_status, template, in_doubt, extra = values[10:]
    return LeasedAccount(
        tenant, directory, job, idx, attempt + bump, person_of(person, extra), sealed,
        tries_left=promised - tries, tries_used=tries,
        find_first=attempt > 0, in_doubt=bool(in_doubt), template=template,
        find_only=job_status == JobStatus.CANCELLING,
    )  # fmt: skip


def raw_fault(raw: NewJob, known: Mapping[tuple[str, str], int | None]) -> str | None:
    """Why a raw entry cannot be entered, if so. known: by tenant and name of the directories, how
    many accounts a job of the tenant may ask for."""
    key = (raw.tenant_id, raw.directory)
    if key not in known:
        return f"there is no directory {raw.directory!r}; see: botrix directory list"
    return too_many(raw.tenant_id, raw.count, known[key])


def known_raw(raw: NewJob, row: JobRow | None, fault: str | None) -> Ruling:
    """On a raw entry that was not entered: the job is known or, where there is no row, there was a
    fault."""
    if row is None:
        return Ruling(raw.id, Verdict.REJECTED, reason=fault or "")
    same = (row.source, row.count, row.directory, row.template)
    if same == (Source.RAW, raw.count, raw.directory, raw.template):
        return Ruling(raw.id, Verdict.STALE)
    return Ruling(raw.id, Verdict.REJECTED, reason="the id belongs to another job; choose a new id")
