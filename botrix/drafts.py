"""How the rows of a roster become people: the columns by a mapping, the texts by a template. Pure.

A username that is made, not given, may be one that an earlier row has: `Naming` tells how the row
goes on under another one. What else is made of the username (an e-mail) follows it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from botrix.columns import RowError, read_row, require_names
from botrix.errors import InvalidInput
from botrix.extra import BLANK
from botrix.mappings import FIELDS, PLAIN, Cells, ColumnMapping, Layout, shown
from botrix.model import Person
from botrix.repeats import Naming, shortened
from botrix.templates import MAX_NAME, Template
from botrix.upload import REASON

_ODD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Draft:
    """What one row says. naming: None where its username was given, or may have no number."""

    person: Person
    password: str | None = field(repr=False)
    naming: Naming | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """What a roster is read by."""

    mapping: ColumnMapping = PLAIN
    template: Template | None = None

    def sheet(self, header: Sequence[str]) -> Sheet:
        """Raises InvalidInput where the header lacks what is needed."""
        return Sheet(self.mapping.layout(header), self.template)

    def lines(self) -> Lines:
        """Of a roster whose rows name their fields. Raises InvalidInput."""
        if self.mapping is not PLAIN:
            raise InvalidInput("a mapping is for CSV; in NDJSON call the fields as they are here")
        return Lines(self.template)


class Lines:
    """Rows that name their fields."""

    def __init__(self, template: Template | None) -> None:
        self._template = template
        if template is not None:
            _require(template, {*FIELDS} - {"password"})

    def read(self, cells: Cells) -> Draft:
        """Raises RowError."""
        texts = {name: _joined(cells.get(name, "")) for name in FIELDS if name != "password"}
        return _draft(self._template, cells, texts)


class Sheet:
    """Rows under one header."""

    def __init__(self, layout: Layout, template: Template | None) -> None:
        self.layout = layout
        self._template = template
        self._used: list[tuple[str, int]] = []
        self._fields: list[str] = []
        if template is None or not template.names_somebody:
            require_names(layout.fields)
        if template is not None:
            self._look_up(template)

    @property
    def ignored(self) -> tuple[str, ...]:
        """The columns that mean nothing here."""
        return self.layout.ignored(at for _, at in self._used)

    @property
    def columns(self) -> tuple[tuple[str, str | None], ...]:
        """Each column by its name, and what it means here: a field, "template" where that uses it,
        "check" where it only leaves rows out; None where it means nothing."""
        layout = self.layout
        means = dict.fromkeys((at for at, _ in layout.rules), "check")
        means |= dict.fromkeys((at for _, at in self._used), "template")
        means |= dict.fromkeys(layout.several, "groups")
        return tuple(
            (shown(name), field or means.get(at))
            for at, (name, field) in enumerate(zip(layout.names, layout.fields, strict=True))
            if name.casefold() != REASON
        )

    def read(self, cells: Sequence[str]) -> Draft:
        """As many as the header has. Raises RowError."""
        named = self.layout.named(cells)
        if self._template is None:
            return _draft(None, named, {})
        texts = {name: _joined(named.get(name, "")) for name in self._fields}
        texts |= {name: _tidy(cells[at]) for name, at in self._used}
        return _draft(self._template, named, texts)

    def _look_up(self, template: Template) -> None:
        """Where the columns are that it uses: by field, by the name in the header, or by that name
        in lower case with `_` for what is neither letter nor digit."""
        columns = _columns(self.layout)
        fields = {name for name in self.layout.fields if name}
        fields |= {"groups"} if self.layout.several else set()
        _require(template, (fields | columns.keys()) - {"password"})
        for name in sorted(template.columns()):
            if name in fields:
                self._fields.append(name)
            else:
                self._used.append((name, columns[name]))


def _columns(layout: Layout) -> dict[str, int]:
    """By the names that a template may call them; the password is not among them, for what a
    template makes is no secret."""
    exact: dict[str, int] = {}
    plain: dict[str, list[int]] = {}
    for at, name in enumerate(layout.names):
        if name and layout.fields[at] != "password" and "password" not in name.casefold():
            exact.setdefault(name, at)
            plain.setdefault(_ODD.sub("_", name.lower()).strip("_"), []).append(at)
    alone = {name: found[0] for name, found in plain.items() if len(found) == 1}
    return alone | exact


def _require(template: Template, there: set[str]) -> None:
    missing = sorted(template.columns() - there)
    if "password" in missing:
        raise InvalidInput("the template uses the password, which may be in no other field")
    if missing:
        known = ", ".join(sorted(map(shown, there)))[:400]
        raise InvalidInput(
            f"the template uses the column {shown(missing[0])!a}, which the roster does not have; "
            f"it has: {known}"
        )


def _draft(template: Template | None, cells: Cells, texts: Mapping[str, str]) -> Draft:
    if template is None:
        return _derived(*read_row(cells), MAX_NAME)
    if template.makes_username:
        return _made(template, cells, texts)
    person, password = read_row(template.over(cells, texts))
    if not template.body.suffixes:
        return Draft(person, password)
    return _derived(person, password, template.body.max_length)


def _derived(person: Person, password: str | None, most: int) -> Draft:
    """Where the row names a person and no account, a username will be derived from the names. From
    an e-mail, too; but who has the same e-mail is the same."""
    if person.username or person.email:
        return Draft(person, password)
    return Draft(person, password, Naming(most, lambda name: replace(person, username=name)))


def _made(template: Template, cells: Cells, texts: Mapping[str, str]) -> Draft:
    def under(name: str) -> tuple[Person, str | None]:
        said = {**cells, "username": name}
        return read_row(template.over(said, {**texts, "username": name}))

    def named(name: str) -> Person:
        try:
            return under(name)[0]
        except RowError as error:
            raise InvalidInput(str(error)) from None

    whole = template.username(texts)
    if whole == _joined(cells.get("username", "")).lower():  # it is the one that was given
        return Draft(*under(whole))
    name = shortened(whole, template.body.max_length)
    if name is None:
        raise RowError("the template makes a username whose domain leaves no room for a name")
    naming = Naming(template.body.max_length, named) if template.body.suffixes else None
    return Draft(*under(name), naming)


def _tidy(cell: str) -> str:
    return unicodedata.normalize("NFC", cell.strip(BLANK))


def _joined(cell: str | Sequence[str]) -> str:
    return _tidy(cell if isinstance(cell, str) else ";".join(cell))
