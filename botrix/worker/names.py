"""Which generated names give way to a new one. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from botrix.model import LeasedAccount, Outcome, OutcomeKind
from botrix.worker.attempt import NAME_TAKEN


def taken(account: LeasedAccount, outcome: Outcome) -> bool:
    """Whether the name is somebody else's, and can be another one. A roster's name cannot, nor one
    under which some call was not answered: should that land after all, there would be two."""
    if not account.unguessable or account.find_only or account.in_doubt:
        return False
    foreign = outcome.kind is OutcomeKind.CONFLICT and outcome.reason == NAME_TAKEN
    return not outcome.in_doubt and (foreign or outcome.kind is OutcomeKind.EXISTING)


def not_existing(account: LeasedAccount, outcome: Outcome) -> Outcome:
    """An entry of another job is no account of a generated one, which has another password."""
    if account.unguessable and outcome.kind is OutcomeKind.EXISTING:
        return replace(outcome, kind=OutcomeKind.CONFLICT)
    return outcome
