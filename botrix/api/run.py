"""How a job is to be run: at once and to its end, or more carefully."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Query

from botrix.api.times import Time
from botrix.errors import InvalidInput
from botrix.model import MAX_ACCOUNTS
from botrix.states import OnConflict, Stage

_Most = Annotated[int | None, Query(ge=0, le=MAX_ACCOUNTS)]


@dataclass(frozen=True, slots=True)
class Run:
    """dry_run: look what would become of each account, and wait to be applied. canary: create so
    many, then wait for approval, unless at most max_error_rate (0 to 1) of them failed.
    max_failures: wait where more failed. on_conflict: whether an account that another job made is
    `existing` or failed. not_before: when to begin."""

    dry_run: bool = False
    canary: int | None = None
    max_error_rate: float | None = None
    max_failures: int | None = None
    on_conflict: OnConflict = OnConflict.SKIP
    not_before: datetime | None = None

    def __post_init__(self) -> None:
        if self.max_error_rate is not None and self.canary is None:
            raise InvalidInput("max_error_rate is that of a canary; say of how many: canary=10")

    def of_job(self) -> dict[str, Any]:
        """As a NewJob has it."""
        return {
            "stage": Stage.PLAN if self.dry_run else Stage.CREATE,
            "reach": self.canary,
            "gate": self.max_error_rate,
            "max_failures": self.max_failures,
            "on_conflict": self.on_conflict,
            "not_before": None if self.not_before is None else self.not_before.timestamp(),
        }


async def _asked(
    dry_run: bool = False,
    canary: Annotated[int | None, Query(ge=1, le=MAX_ACCOUNTS)] = None,
    max_error_rate: Annotated[float | None, Query(ge=0, le=1, allow_inf_nan=False)] = None,
    max_failures: _Most = None,
    on_conflict: OnConflict = OnConflict.SKIP,
    not_before: Time | None = None,
) -> Run:
    return Run(dry_run, canary, max_error_rate, max_failures, on_conflict, not_before)


Asked = Annotated[Run, Depends(_asked)]
"""From the query."""
