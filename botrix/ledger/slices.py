"""What one claim takes, decided on rows that the database has read and locked. Pure.

Both ledgers read the jobs and their open accounts, let `Slices` rule on each entry, and write what
it gathered in as few statements as they can.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from botrix.extra import groups_of, in_groups, person_of
from botrix.ledger.ledger import Asked, Claim, Plan, Room, Ruling, Verdict
from botrix.ledger.quotas import too_many
from botrix.model import (
    DISABLED,
    GONE,
    LANE_OF,
    POISON,
    SLICE,
    SUSPECT,
    JobState,
    LeasedAccount,
    NewJob,
    PlannedAccount,
    Source,
)
from botrix.states import (
    JOB_STATUS_OF,
    ON_CONFLICT_OF,
    STAGE_OF,
    JobStatus,
    OnConflict,
    Prospect,
    Stage,
    Waits,
)

POISONED = ("poison", f"its worker died {POISON} times, the last time with this account alone")
"""Why such an account is set aside, and what people are told."""


class JobRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The columns of JOB, in their order. groups: JSON. guarded: whether it may have to wait for a
    person (see turns.py). policy: of its directory; None where there is none. away: whether its
    directory is paused. walked: those below were handed out in this look without a lease."""

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
    stage: str = Stage.CREATE
    reach: int | None = None
    look: int = 0
    on_conflict: str = OnConflict.SKIP
    waits: str | None = None
    created_at: float = 0.0
    traceparent: str | None = None
    walked: int = 0
    guarded: bool | int = False
    policy: str | None = None
    away: bool | int | None = None

    @property
    def end(self) -> int:
        """Only accounts of lower index are claimed."""
        if self.reach is None or self.stage != Stage.CREATE:
            return self.count
        return min(self.count, self.reach)

    @property
    def walks(self) -> bool:
        """Whether it hands out accounts that are all there, to be looked at without a lease: a
        look changes nothing, so whose is recorded first counts."""
        if self.stage == Stage.CREATE:
            return False
        there = self.stage == Stage.CHECK or (
            self.stage == Stage.PLAN and self.source == Source.IMPORT
        )
        return there and self.walked < self.count and self.status != JobStatus.CANCELLING

    def state(self, status: str) -> JobState:
        return JobState(
            self.id, self.tenant_id, JOB_STATUS_OF[status], LANE_OF[self.lane], self.directory,
            self.count, self.created, self.existing, self.failed, self.cancelled, self.deleted,
            self.retried, STAGE_OF[self.stage], Waits(self.waits) if self.waits else None,
        )  # fmt: skip


_POLICY = (
    "(SELECT d.policy FROM directories d WHERE d.tenant_id = j.tenant_id AND d.name = j.directory)"
)
_AWAY = (
    "(SELECT t.status = 'paused' FROM throttles t"
    " WHERE t.tenant_id = j.tenant_id AND t.name = j.directory)"
)
GUARDED = "(j.stage <> 'create' OR j.reach IS NOT NULL OR j.max_failures IS NOT NULL)"
OWN = ", ".join([*(f"j.{name}" for name in JobRow.__struct_fields__[:-3]), GUARDED])
"""What JobRow is read from, of jobs j, without what is their directories'; a claim needs that."""
JOB = ", ".join([OWN, _POLICY, _AWAY])
"""Likewise, with all."""
ACCOUNT_COLUMNS = (
    "a.tenant_id, j.directory, a.job_id, a.idx, a.attempt, a.username, a.email, a.given_name,"
    " a.family_name, a.display_name, a.sealed, j.tries AS promised, a.tries, a.status,"
    " j.status AS job_status,"
    " CASE WHEN j.source <> 'import' THEN coalesce(j.template, '') END AS template, a.in_doubt,"
    " a.extra, a.not_before, j.stage, j.on_conflict, j.look, a.prospect,"
    f" {GUARDED} AS guarded, j.undoes, a.row, a.entry_id, j.traceparent"
)
"""What `leased` reads, of accounts a and jobs j."""
CLAIMABLE = f"a.status IN ('planned', 'unsure') AND a.crashes < {SUSPECT}"
"""Which accounts a claim may take again; suspects are claimed alone."""
END = "CASE WHEN j.stage || '' = 'create' AND j.reach < j.count THEN j.reach ELSE j.count END"
WITHIN = f"a.idx < {END} AND a.not_before >= -j.look"
"""Likewise, by what their job j allows now: not those beyond its canary, nor those that its plan
has looked at already, which have a negative time."""
LOOSE_COLUMNS = (
    "a.idx, a.attempt, a.username, a.email, a.given_name, a.family_name, a.display_name, a.extra,"
    " a.prospect"
)
"""What `loose` reads, of accounts a."""
LOOSE = "a.status || '' = 'planned' AND a.crashes = 0"
"""Which accounts may be handed out without a lease. Others are left to who leases."""
QUIET = 3.0
"""So many seconds after the last was handed out or recorded, what is still to be looked at is
claimed with leases: what a worker lost, and what it could not see."""
NOT_AWAY = (
    "NOT EXISTS (SELECT 1 FROM throttles t WHERE t.tenant_id = j.tenant_id"
    " AND t.name = j.directory AND t.status || '' = 'paused')"
)
TO_BE_GONE = (
    f"j.stage || '' <> '{Stage.REMOVE}' AND (a.status <> 'deleted'"
    f" OR coalesce(a.reason, '') NOT IN ('{DISABLED}', '{GONE}'))"
)
"""Of an account that failed, was cancelled or deleted: whether it is not to be at the directory. An
undo job's may be there, and what it disabled is; what had gone by itself may come back."""
NOT_WAITING = "(NOT paused OR status || '' = 'cancelling') AND NOT importing"
"""Which jobs a place may be given to; one that waits for a person ends nevertheless when it is
cancelled, also by an API of an earlier release, which leaves it paused."""
SUSPECTED = f"a.crashes >= {SUSPECT} AND a.status IN ('planned', 'unsure')"


class Move(msgspec.Struct, gc=False):
    """A job whose cursor moves. touched: it may have open accounts, so that the database must look
    whether more can be claimed. walked: of one that walks, which accounts it has handed out.
    whole: all of it is handed out at once, so that nothing can be left."""

    id: str
    next_index: int
    left: bool
    touched: bool
    cancelling: bool
    walked: int | None = None
    whole: bool = False


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
        lane = LANE_OF[row.lane]
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
        if row.walks:
            self._walk(row, open_accounts, limit)
            return
        again = self._take_again(open_accounts, limit) if open_accounts else 0
        first = end = row.next_index
        last = row.end
        cancelling = row.status == JobStatus.CANCELLING
        if not cancelling and first < last:
            end = min(last, first + limit - again)
        if end > first:
            self._plan_new(row, range(first, end))
        self._held[row.tenant_id, row.directory] += again + end - first
        self._held_of[row.tenant_id] += again + end - first
        whole = first == 0 and end == row.count
        self.moves.append(Move(row.id, end, end < last, first > 0, cancelling, whole=whole))
        if row.status == JobStatus.PENDING:
            self.claim.started.append(row.state(JobStatus.RUNNING))

    def _take_again(self, open_accounts: deque[Any], limit: int) -> int:
        """How many these are."""
        due = min(limit, len(open_accounts))
        again = [leased(open_accounts.popleft(), bump=1) for _ in range(due)]
        self.again.extend(again)
        self.claim.accounts.extend(again)
        return due

    def _walk(self, row: JobRow, open_accounts: deque[Any], limit: int) -> None:
        end = min(row.count, row.walked + limit)
        found = loose(row, [one for one in open_accounts if one[0] < end])
        self.claim.accounts.extend(found)
        self._held[row.tenant_id, row.directory] += len(found)
        self._held_of[row.tenant_id] += len(found)
        self.moves.append(Move(row.id, row.next_index, end < row.count, False, False, walked=end))
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
                stage=STAGE_OF[row.stage], on_conflict=ON_CONFLICT_OF[row.on_conflict],
                look=row.look, guarded=bool(row.guarded), traceparent=row.traceparent,
            )  # fmt: skip
            self.claim.accounts.append(account)


def leased(row: Iterable[Any], bump: int) -> LeasedAccount:
    """From ACCOUNT_COLUMNS; bump: how much its lease raises the attempt. What was leased before is
    looked for first, whatever was heard of it: an earlier call may have landed, or land yet. Not so
    where it was leased to be looked at alone."""
    values = tuple(row)
    tenant, directory, job, idx, attempt, *person = values[:10]
    sealed, promised, tries, _status, job_status, template, in_doubt, extra = values[10:18]
    not_before, stage, on_conflict, look, prospect, guarded = values[18:24]
    undoes, made_as, entry_id, traceparent = values[24:28]
    return LeasedAccount(
        tenant, directory, job, idx, attempt + bump, person_of(person, extra), sealed,
        tries_left=promised - tries, tries_used=tries,
        find_first=attempt > 0 and not_before >= 0, in_doubt=bool(in_doubt), template=template,
        find_only=job_status == JobStatus.CANCELLING, stage=STAGE_OF[stage],
        on_conflict=ON_CONFLICT_OF[on_conflict], look=look,
        prospect=None if prospect is None else Prospect(prospect), guarded=bool(guarded),
        undoes=undoes, row=made_as, entry_id=entry_id, traceparent=traceparent,
    )  # fmt: skip


def loose(row: JobRow, accounts: Iterable[Sequence[Any]]) -> list[LeasedAccount]:
    """From LOOSE_COLUMNS; what they have in common is found out once."""
    template = None if row.source == Source.IMPORT else row.template or ""
    stage, on_conflict = Stage(row.stage), OnConflict(row.on_conflict)
    return [
        LeasedAccount(
            row.tenant_id, row.directory, row.id, idx, attempt, person_of(person, extra), None,
            row.tries, template=template, stage=stage, on_conflict=on_conflict, look=row.look,
            prospect=_PROSPECTS[prospect], guarded=True, traceparent=row.traceparent, loose=True,
        )
        for idx, attempt, *person, extra, prospect in accounts
    ]  # fmt: skip


_PROSPECTS: dict[str | None, Prospect | None] = {None: None, **{one.value: one for one in Prospect}}


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
