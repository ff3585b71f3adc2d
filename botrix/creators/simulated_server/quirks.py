"""What the simulated server shall do wrong, and what it shall have. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rule:
    """do: an HTTP status as text, reset, junk, huge, drip, redirect, hang, slow (the answer comes
    `seconds` later) or late (no answer, and what was asked is done `seconds` later). on: create,
    bulk, find, change, group or describe. done: whether what was asked is done all the same. share:
    of the calls; times: at most so many; match: of those for a name with this text. Of the
    operations of a Bulk, only a status is done. echo: passwords that were sent are in what it
    says."""

    do: str
    on: str = "create"
    done: bool = False
    share: float = 1.0
    times: int = 1_000_000_000
    retry_after: str = ""
    seconds: float = 1.0
    match: str = ""
    echo: bool = False


@dataclass(frozen=True, slots=True)
class BulkQuirks:
    """most: operations announced, 0 for no Bulk; payload: bytes announced, and borne. bears:
    operations above which it answers 413, whatever it announced. absent: announced, and 501.
    forgets: every so manieth operation is missing from the answer; doubles: or there twice.
    reverse: the answer is in the other order. numbers: its statuses are numbers. shows: whole
    entries are in it. breaks_after: 500 once so many are created, from a Bulk that has more.
    bad: 400 for all where a name has this text, once those before it were created."""

    most: int = 0
    payload: int = 1 << 20
    bears: int = 1_000_000_000
    absent: bool = False
    forgets: int = 0
    doubles: int = 0
    reverse: bool = False
    numbers: bool = False
    shows: bool = False
    breaks_after: int = 0
    bad: str = ""


@dataclass(frozen=True, slots=True)
class Quirks:
    """delay: seconds per call; width: works on so many at once, and lets others wait (0: on all).
    blind: seconds until `find` sees what was created. steal: the share of names that somebody else
    takes just before a create. groups: those that there are; None for a server without. etag,
    cursor: whether it has these; page: the most of a page, above which a count is no good.
    schemas: none, core or all. The others are deviations of real servers."""

    delay: float = 0.0
    steal: float = 0.0
    width: int = 0
    blind: float = 0.0
    ignore_filter: bool = False
    no_filter: bool = False
    duplicate_is_500: bool = False
    drop_external_id: bool = False
    no_patch: bool = False
    no_count: bool = False
    no_primary: bool = False
    etag: bool = False
    cursor: bool = False
    page: int = 1000
    schemas: str = "all"
    groups: tuple[str, ...] | None = ("staff",)
    bulk: BulkQuirks = BulkQuirks()
    seed: int | None = None
    rules: tuple[Rule, ...] = ()


def read_quirks(given: dict[str, Any]) -> Quirks:
    """Raises TypeError for what is none."""
    rules = tuple(Rule(**rule) for rule in given.get("rules", ()))
    bulk = BulkQuirks(**given.get("bulk", {}))
    groups = given.get("groups", ("staff",))
    named = None if groups is None else tuple(groups)
    return Quirks(**{**given, "rules": rules, "bulk": bulk, "groups": named})
