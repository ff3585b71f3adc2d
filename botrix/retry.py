"""What an outcome means for an account: its next state, when, and whether it cost a try.

Pure. Backoff is exponential with full jitter (Brooker, "Exponential Backoff And Jitter", 2015):
a uniform draw between 0 and min(cap, base * 2**n) seconds.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import assert_never

from botrix.model import LeasedAccount, Outcome, OutcomeKind, Result
from botrix.states import AccountStatus, OnConflict

_PATIENCE = 20
"""From this attempt on everything counts: a directory that is away for good ends a job too."""

_SHORT = 1.0
_WELL = (AccountStatus.CREATED, AccountStatus.EXISTING, AccountStatus.DELETED)


@dataclass(frozen=True, slots=True)
class Backoff:
    """base and cap in seconds."""

    base: float = 1.0
    cap: float = 300.0

    def delay(self, tries_used: int, rng: random.Random) -> float:
        """Seconds to wait after so many used tries (0 for the first)."""
        return rng.uniform(0.0, min(self.cap, self.base * 2.0 ** min(tries_used, 32)))


def decide(
    account: LeasedAccount,
    outcome: Outcome,
    backoff: Backoff,
    rng: random.Random,
    counts: bool | None = None,
) -> Result:
    """The one place where an outcome becomes a state. counts: whether what failed uses up a try,
    whatever the outcome says: not while its directory is paused, and surely once it is given up."""
    if account.loose and outcome.kind is not OutcomeKind.LOOKED:
        return _again(account, outcome, AccountStatus.PLANNED, backoff, rng, counts=False)
    match outcome.kind:
        case OutcomeKind.CREATED:
            return _result(account, outcome, AccountStatus.CREATED)
        case OutcomeKind.EXISTING if account.on_conflict is OnConflict.SKIP:
            return _result(account, outcome, AccountStatus.EXISTING)
        case OutcomeKind.LOOKED:
            return _looked(account, outcome)
        case OutcomeKind.DELETED:
            return _result(account, outcome, AccountStatus.DELETED)
        case OutcomeKind.REJECTED | OutcomeKind.CONFLICT | OutcomeKind.EXISTING:
            return _result(account, outcome, AccountStatus.FAILED)
        case OutcomeKind.RETRY:
            return _again(account, outcome, AccountStatus.PLANNED, backoff, rng, counts)
        case OutcomeKind.UNKNOWN:
            return _again(account, outcome, AccountStatus.UNSURE, backoff, rng, counts)
        case _:
            assert_never(outcome.kind)


def _looked(account: LeasedAccount, outcome: Outcome) -> Result:
    """Back to be created, or to be looked at once more, when its job goes on."""
    moved = account.prospect is not None and account.prospect is not outcome.prospect
    return Result(
        account.job_id, account.index, account.attempt, AccountStatus.PLANNED, counted=False,
        look=account.look + 1, prospect=outcome.prospect, moved=moved, guarded=True,
        traceparent=account.traceparent,
        loose=account.loose,
    )  # fmt: skip


def _again(
    account: LeasedAccount,
    outcome: Outcome,
    status: AccountStatus,
    backoff: Backoff,
    rng: random.Random,
    counts: bool | None,
) -> Result:
    counted = outcome.counted or account.attempt >= _PATIENCE if counts is None else counts
    if counted and account.tries_left <= 1 and not account.find_only:
        return _result(account, outcome, AccountStatus.FAILED)
    if account.find_only and account.attempt >= _PATIENCE and status is AccountStatus.UNSURE:
        return _result(account, outcome, AccountStatus.CANCELLED)
    delay = backoff.delay(account.tries_used if counted else account.attempt - 1, rng)
    if counts is False:  # its job is held, and goes on when the directory does
        delay = min(delay, _SHORT)
    delay = max(delay, outcome.retry_after or 0.0)
    return _result(account, outcome, status, delay=delay, counted=counted)


def _result(
    account: LeasedAccount,
    outcome: Outcome,
    status: AccountStatus,
    delay: float = 0.0,
    counted: bool = True,
) -> Result:
    return Result(
        job_id=account.job_id,
        index=account.index,
        attempt=account.attempt,
        status=status,
        entry_id=outcome.entry_id,
        reason=outcome.reason or (None if status in _WELL else outcome.kind.value),
        username=account.person.username,
        detail=outcome.detail,
        delay=delay,
        counted=counted,
        in_doubt=outcome.in_doubt or outcome.kind is OutcomeKind.UNKNOWN,
        guarded=account.guarded,
        traceparent=account.traceparent,
        loose=account.loose,
    )


def retry_after(text: str, most: float = 3600.0) -> float | None:
    """Seconds, from a number or a date (RFC 9110, 10.2.3); at most so many."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(most, float(text[:9]))
    try:
        return min(most, max(0.0, parsedate_to_datetime(text).timestamp() - time.time()))
    except (ValueError, TypeError, OverflowError):
        return None


def cut_short(account: LeasedAccount, begun: bool) -> Result:
    """How an account goes back uncounted. Unsure, where some call may have landed unseen: who only
    held it, as often as that was, leaves nothing to look for when its job is cancelled."""
    begun = begun and not account.loose  # a look without a lease leaves nothing in doubt
    status = AccountStatus.UNSURE if begun or account.in_doubt else AccountStatus.PLANNED
    return Result(
        account.job_id, account.index, account.attempt, status, reason="handed back",
        counted=False, in_doubt=begun, guarded=account.guarded, traceparent=account.traceparent,
        loose=account.loose,
    )  # fmt: skip
