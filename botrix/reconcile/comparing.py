"""What differs between an account of the ledger and what was seen under its name. Pure.

A directory may write things in its own way: letters that are composed of several signs, spaces, and
the case of an e-mail address make no difference.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from botrix.creators.creator import FIELDS, Sighting, Whose
from botrix.ledger.reconciling import Row
from botrix.reconcile.findings import What

NOBODY, TAKEN = "nobody", "name taken"
"""Why an account is missing."""
_OF_OTHERS = (Whose.FOREIGN, Whose.OTHER_JOB, Whose.UNPROVEN)


@dataclass(frozen=True, slots=True)
class Difference:
    """reason: a word or two. seen: what the ledger could take over, by its columns."""

    what: What
    reason: str
    detail: str = ""
    seen: Mapping[str, str] = field(default_factory=dict)


def compared(row: Row, seen: Sighting) -> Difference | None:
    """None where nothing differs, as far as the directory tells."""
    if seen.whose is Whose.UNSURE:
        return Difference(What.UNSURE, "not told", seen.detail or "")
    if seen.whose is Whose.NOBODY:
        return Difference(What.MISSING, NOBODY, "nobody has this name at the directory")
    same = seen.entry_id is not None and seen.entry_id == row.entry_id
    if seen.whose in _OF_OTHERS and not same:
        theirs = "unmarked" if seen.tag is None else seen.tag
        return Difference(What.MISSING, TAKEN, f"somebody else has this name ({theirs})")
    return _changes(row, seen, same)


def _changes(row: Row, seen: Sighting, same: bool) -> Difference | None:
    reasons, details, found = [], [], {}
    for name in FIELDS:
        ledger, there = getattr(row.person, name), (seen.fields or {}).get(name)
        if there is not None and _form(name, there) != _form(name, ledger):
            reasons.append(name)
            details.append(f"{name} is {there!r}, not {ledger!r}")
            found[name] = there
    if not same and seen.entry_id:
        reasons.append("id")
        details.append(f"its id is {seen.entry_id}, not {row.entry_id}")
        found["entry_id"] = seen.entry_id
    if seen.active is False:
        reasons.append("disabled")
        details.append("it is disabled")
    if seen.whose in (Whose.FOREIGN, Whose.OTHER_JOB):
        reasons.append("tag")
        details.append(f"its tag is {seen.tag or 'gone'}")
    if not reasons:
        return None
    return Difference(What.CHANGED, ", ".join(reasons), "; ".join(details), found)


def same_name(one: str, other: str) -> bool:
    """As most directories have it."""
    return _form("username", one).casefold() == _form("username", other).casefold()


def _form(name: str, text: str) -> str:
    form = " ".join(unicodedata.normalize("NFC", text).split())
    return form.casefold() if name == "email" else form
