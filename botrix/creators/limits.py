"""The settings that all kinds have: how much a directory may be asked, as its operator says, and
what an undo does there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from botrix.creators.declared import Setting, Type
from botrix.errors import DirectoryError

ON_UNDO = "on_undo"
MOST = 64


class OnUndo(StrEnum):
    """What becomes of an account that a job created, once that job is undone."""

    DELETE = "delete"
    DISABLE = "disable"


LIMITS = (
    Setting(
        "concurrency", "Calls at once, of all workers, at most; the limit finds its own level.",
        Type.INTEGER, default=MOST,
    ),
    Setting("rate", "Operations a second, of all workers together; no limit else.", Type.NUMBER),
)  # fmt: skip
"""Of kinds whose requests go through the gate."""
UNDOING = Setting(
    ON_UNDO, "What becomes of the accounts of a job that is undone.",
    default=OnUndo.DELETE.value, choices=tuple(OnUndo),
)  # fmt: skip
"""Of every kind."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of all workers together. most: calls at once, below which the limit finds its own level.
    rate: operations a second."""

    most: int = MOST
    rate: float | None = None


def read_limits(config: Mapping[str, Any]) -> Limits:
    """Raises DirectoryError, saying what to correct."""
    most, rate = config.get("concurrency", MOST), config.get("rate")
    if type(most) is not int or not 1 <= most <= 256:
        raise DirectoryError("`concurrency` must be a number from 1 to 256")
    if rate is None:
        return Limits(most)
    if type(rate) not in (int, float) or not 0 < rate <= 1_000_000:
        raise DirectoryError("`rate` must be a number of operations a second, above 0")
    return Limits(most, float(rate))


def read_on_undo(config: Mapping[str, Any]) -> OnUndo:
    """Raises DirectoryError, saying what to correct."""
    asked = config.get(ON_UNDO, OnUndo.DELETE)
    if asked not in list(OnUndo):
        raise DirectoryError("`on_undo` must be delete or disable")
    return OnUndo(asked)
