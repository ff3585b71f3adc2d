"""Which column of a roster is what: by the plain synonyms of `columns.py`, by the header of a known
system (`headers.py`, asked for or recognised), or as somebody says in JSON:
{"Their Column": "given_name", "Room": null}. Pure.

A header is recognised only where exactly one system has such a one; else the plain synonyms rule.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from botrix.columns import RowError, field_of, fields_of
from botrix.errors import InvalidInput
from botrix.extra import BLANK, CONTROL
from botrix.headers import HEADER_SETS, VERSION_LINE, HeaderSet, Rule
from botrix.model import ATTRIBUTES
from botrix.upload import REASON

FIELDS = (
    "username", "email", "given_name", "family_name", "display_name", "password", "groups",
    *ATTRIBUTES,
)  # fmt: skip
MOST = 1024
"""Characters of a mapping: encoded in a query, it fits into the head of a request."""
Cells = dict[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one roster. mapping: the known system whose header it is. fields: each one's.
    several: the columns of which each holds one group. rules: what leaves a row out."""

    names: tuple[str, ...]
    fields: tuple[str | None, ...]
    mapping: str | None = None
    several: tuple[int, ...] = ()
    rules: tuple[tuple[int, Rule], ...] = ()
    first_filled: bool = False

    def ignored(self, used: Iterable[int] = ()) -> tuple[str, ...]:
        """What means nothing here, to be told. used: the columns of a template."""
        kept = {*used, *self.several, *(at for at, _ in self.rules)}
        return tuple(
            shown(name)
            for at, (name, known) in enumerate(zip(self.names, self.fields, strict=True))
            if known is None and at not in kept and name.casefold() != REASON
        )

    def named(self, cells: Sequence[str]) -> Cells:
        """The cells by field. Raises RowError where a rule leaves the row out."""
        for at, rule in self.rules:
            cell = cells[at].strip(BLANK)
            if cell and (reason := rule(cell, shown(self.names[at]))):
                raise RowError(reason)
        if not self.first_filled:
            return {name: cell for name, cell in zip(self.fields, cells, strict=True) if name}
        named: Cells = {}
        for name, cell in zip(self.fields, cells, strict=True):
            if name and not named.get(name):
                named[name] = cell if cell.strip(BLANK) else ""
        if self.several:
            named["groups"] = [c for at in self.several if (c := cells[at]).strip(BLANK)]
        return named


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """As it was asked for. header_set: a known system; said: by column, where JSON was given."""

    text: str = ""
    header_set: HeaderSet | None = None
    said: Mapping[str, str | None] | None = None

    def layout(self, header: Sequence[str]) -> Layout:
        """Raises InvalidInput where it is unclear what is meant."""
        names = tuple(name.strip(BLANK) for name in header)
        if self.said is not None:
            return _as_said(names, self.said)
        known = self.header_set or _recognised(names)
        return Layout(names, tuple(fields_of(names))) if known is None else _of(known, names)

    def weight(self, header: Sequence[str]) -> int:
        """How many columns it knows."""
        names = [name.strip(BLANK) for name in header]
        if self.said is not None:
            keys = {key(name) for name in self.said}
            return sum(key(name) in keys or field_of(name) is not None for name in names)
        known = self.header_set or _recognised(names)
        if known is None:
            return sum(field_of(name) is not None for name in names)
        return sum(known.key(name) in known.fields for name in names)

    def skips(self, line: str) -> bool:
        """Whether this first line comes before the header."""
        entra = self.header_set is None or self.header_set.name == "entra"
        return entra and VERSION_LINE.fullmatch(line.strip(BLANK)) is not None


PLAIN = ColumnMapping()


def read_mapping(text: str | None) -> ColumnMapping:
    """A name, or JSON. Raises InvalidInput."""
    if text is None:
        return PLAIN
    if text in HEADER_SETS:
        return ColumnMapping(text, HEADER_SETS[text])
    known = ", ".join(HEADER_SETS)
    help_ = f'name one of {known}, or give JSON like {{"Their Column": "given_name"}}'
    if len(text) > MOST:
        raise InvalidInput(f"the mapping is longer than {MOST} characters; {help_}")
    try:
        said = json.loads(text, object_pairs_hook=_pairs)
    except (ValueError, RecursionError):
        raise InvalidInput(f"there is no mapping {shown(text)!a}; {help_}") from None
    if not isinstance(said, dict) or not said:
        raise InvalidInput(f"the mapping is no JSON object; {help_}")
    return ColumnMapping(text, None, _checked(said))


def key(name: str) -> str:
    """Names that differ only in case, blanks, `_` and `-` are the same."""
    return re.sub(r"[\s_-]+", "", name.casefold())


def shown(name: str) -> str:
    """A name from a file, fit for one line."""
    return CONTROL.sub("?", name.strip(BLANK))[:80]


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a column is named twice")
    return made


def _checked(said: Mapping[str, object]) -> dict[str, str | None]:
    for name, field in said.items():
        if field is not None and field not in FIELDS:
            raise InvalidInput(
                f"the mapping makes {str(field)[:40]!a} of {shown(name)!a}; there are: "
                f"{', '.join(FIELDS)}, or null"
            )
    return {name: None if field is None else str(field) for name, field in said.items()}


def _recognised(names: Sequence[str]) -> HeaderSet | None:
    found = [one for one in HEADER_SETS.values() if one.is_it({one.key(n) for n in names}, names)]
    return found[0] if len(found) == 1 else None


def _of(known: HeaderSet, names: tuple[str, ...]) -> Layout:
    keys = [known.key(name) for name in names]
    doubled = [k for k, times in Counter(keys).items() if times > 1 and k in known.fields]
    if doubled:
        raise InvalidInput(f"the header names {shown(doubled[0])} more than once; keep one of them")
    fields = tuple(known.fields.get(k) for k in keys)
    pattern = known.several
    several = tuple(at for at, k in enumerate(keys) if pattern and pattern.fullmatch(k))
    rules = tuple((at, known.rules[k]) for at, k in enumerate(keys) if k in known.rules)
    return Layout(names, fields, known.name, several, rules, first_filled=True)


def _as_said(names: tuple[str, ...], said: Mapping[str, str | None]) -> Layout:
    """What is not spoken of is read by the synonyms, unless somebody else was said to be it."""
    asked = {key(name): field for name, field in said.items()}
    keys = [key(name) for name in names]
    if missing := [name for name in said if key(name) not in keys]:
        raise InvalidInput(
            f"the roster has no column {shown(missing[0])!a}, which the mapping names; it has: "
            f"{', '.join(map(shown, names))[:300]}"
        )
    taken = {field for field in asked.values() if field}
    fields = [
        asked[k] if k in asked else (None if field_of(name) in taken else field_of(name))
        for k, name in zip(keys, names, strict=True)
    ]
    doubled = [name for name, times in Counter(fields).items() if name and times > 1]
    if doubled:
        raise InvalidInput(f"two columns are {doubled[0]}; let the mapping say null for one")
    return Layout(names, tuple(fields))
