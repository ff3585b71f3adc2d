"""Reads a roster (CSV or NDJSON) as it arrives: bytes in, rows out, in constant memory.

A file that cannot be read at all raises InvalidInput: wrong encoding, no header, an unclear one.
Whatever is wrong with one row makes a BadRow, and the rows around it are read all the same.
Reasons name the column and never quote the cell: in a shifted row, any cell may be a password.

Numbers are those that a spreadsheet shows: the header is row 1, blank rows count, and a row with a
line break inside a quoted cell counts once.
"""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from botrix.columns import RowError
from botrix.drafts import Draft, Form, Sheet
from botrix.errors import InvalidInput
from botrix.extra import BLANK, CONTROL
from botrix.model import Person
from botrix.records import SAVE_AS_UTF8, Record, Records
from botrix.repeats import Naming
from botrix.upload import (
    MAX_ROW,
    REASON,
    ROOM,
    Layout,
    had_name,
    is_reason,
    may_hold_secret,
    names_secret,
)

_SAYS_WHY = (
    f"what was wrong with it stands in another column than {REASON}; put in the cell that is "
    "missing, or take out the one too many"
)
"""Where a spreadsheet has filled a row up, it is not as many cells as it had. Also without
such a column: given back with one, the row would be bad, and its next reason another."""


@dataclass(frozen=True, slots=True)
class Row:
    """A usable row. What it does not say is "" in `person`; `Planner.person_from_row` fills it.
    record: as it was written."""

    number: int
    person: Person
    password: str | None = field(default=None, repr=False)
    naming: Naming | None = field(default=None, repr=False, compare=False)
    record: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used, and why: one line, without any of its cells. cut: the record is
    only how it begins."""

    number: int
    reason: str
    record: bytes = field(default=b"", repr=False, compare=False)
    cut: bool = field(default=False, repr=False, compare=False)


class RosterReader:
    """Feed it bytes in pieces of any size, then call `finish` once."""

    def __init__(self, content_type: str, form: Form | None = None) -> None:
        """form: what the columns mean, and what is made of them."""
        self._format = _format_of(content_type, form or Form())
        self._records = Records(self._format)
        self._head: bytes | None = b""
        self._signed = False
        self._number = 0

    @property
    def layout(self) -> Layout:
        """How the file is written, so far as it was read."""
        return replace(self._format.layout(), signed=self._signed)

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """The columns of the header that mean nothing here."""
        return self._format.ignored

    @property
    def columns(self) -> tuple[tuple[str, str | None], ...]:
        """Those of the header, each with what it means here; none where rows name their fields."""
        return self._format.columns

    @property
    def mapping(self) -> str | None:
        """The system whose header it is, where it is known."""
        return self._format.mapping

    def feed(self, data: bytes) -> list[Row | BadRow]:
        """Raises InvalidInput where the whole file cannot be used."""
        if self._head is not None:
            self._head += data
            if len(self._head) < 4:
                return []
            data = self._begin(self._head)
        return self._read(self._records.feed(data))

    def finish(self) -> list[Row | BadRow]:
        rows: list[Row | BadRow] = []
        if self._head is not None:
            rows += self._read(self._records.feed(self._begin(self._head)))
        rows += self._read(self._records.finish())
        self._format.finish()
        return rows

    def _begin(self, head: bytes) -> bytes:
        self._head = None
        data = _without_signature(head)
        self._signed = len(data) < len(head)
        return data

    def _read(self, records: Iterator[Record]) -> list[Row | BadRow]:
        rows: list[Row | BadRow] = []
        for record in records:
            self._number += 1
            try:
                if row := self._format.row(self._number, record):
                    rows.append(row)
            except RowError as error:
                rows.append(BadRow(self._number, str(error), record.data, record.oversize))
        return rows


def _format_of(content_type: str, form: Form) -> _Csv | _Ndjson:
    kind, _, parameters = content_type.lower().partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]*)", parameters)
    if charset and charset[1] not in {"utf-8", "utf8", "us-ascii"}:
        raise InvalidInput(f"a roster must be UTF-8; {SAVE_AS_UTF8}")
    if kind.strip() == "text/csv":
        return _Csv(form)
    if kind.strip() == "application/x-ndjson":
        return _Ndjson(form)
    raise InvalidInput(f"a roster cannot be {kind[:80]!a}; send text/csv or application/x-ndjson")


def _without_signature(head: bytes) -> bytes:
    """The first bytes of the file without their BOM."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        raise InvalidInput(f"the file is UTF-16 or UTF-32; {SAVE_AS_UTF8}")
    if head.startswith(b"PK\x03\x04"):
        raise InvalidInput(f"the file is a workbook or an archive; {SAVE_AS_UTF8}")
    return head.removeprefix(b"\xef\xbb\xbf")


class _Csv:
    """Comma-separated values, or what a spreadsheet takes for them in other countries."""

    def __init__(self, form: Form) -> None:
        self.ignored: tuple[str, ...] = ()
        self.columns: tuple[tuple[str, str | None], ...] = ()
        self.mapping: str | None = None
        self.delimiters = ",;\t|"  # until the header tells which one it is
        self.most = MAX_ROW
        self._form = form
        self._sheet: Sheet | None = None
        self._header = self._before = ""
        self._reason: int | None = None  # the column of a file of failed rows

    def row(self, number: int, record: Record) -> Row | None:
        if self._sheet is None:
            self._read_header(record)
            if self._sheet is None and record.data.strip():
                self._before += record.data.decode() + "\n"
            return None
        cells = _cells(record.text(), self.delimiters)
        if not any(cell.strip(BLANK) for cell in cells):
            return None
        width = len(self._sheet.layout.names)
        if len(cells) != width:
            raise RowError(
                f"has {len(cells)} cells where the header has {width}; "
                "put a cell that holds the delimiter in quotes"
            )
        if any(is_reason(one) for at, one in enumerate(cells) if at != self._reason):
            raise RowError(_SAYS_WHY)
        draft = self._sheet.read(cells)
        return _row(number, draft, record, None if self._reason is None else cells[self._reason])

    def finish(self) -> None:
        if self._sheet is None:
            raise InvalidInput("the roster is empty; its first row must name the columns")

    def layout(self) -> Layout:
        columns = self._sheet.layout if self._sheet else None
        fields, names = (columns.fields, columns.names) if columns else ((), ())
        passwords = tuple(at for at, name in enumerate(fields) if name == "password")
        return Layout(
            kind="csv", before=self._before, header=self._header.removesuffix("\r"),
            delimiter=self.delimiters, newline="\r\n" if self._header.endswith("\r") else "\n",
            width=len(fields), passwords=passwords, reason=self._reason,
            secret=bool(passwords) or any(map(names_secret, names)),
        )  # fmt: skip

    def _read_header(self, record: Record) -> None:
        try:
            text = record.text()
            if not text.strip(BLANK) or self._form.mapping.skips(text):
                return
            if "\0" in text:
                raise InvalidInput(f"the file is UTF-16 or no text at all; {SAVE_AS_UTF8}")
            if "\r" in text.removesuffix("\r") and '"' not in text:
                raise InvalidInput(f"the rows end in carriage returns alone; {SAVE_AS_UTF8}")
            guesses = [(_names(text, delimiter), delimiter) for delimiter in self.delimiters]
        except RowError as error:
            raise InvalidInput(f"the header cannot be read: {error}") from None
        weight = self._form.mapping.weight
        names, self.delimiters = max(guesses, key=lambda guess: (weight(guess[0]), len(guess[0])))
        self._sheet, self._header = self._form.sheet(names), text
        self.ignored, self.mapping = self._sheet.ignored, self._sheet.layout.mapping
        self.columns = self._sheet.columns
        ours = [name.casefold() == REASON for name in self._sheet.layout.names]
        if any(ours):
            self._reason, self.most = ours.index(True), MAX_ROW + ROOM


def _cells(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader((text.removesuffix("\r"),), delimiter=delimiter, strict=True), [])
    except csv.Error:
        raise RowError(
            "a quote or a carriage return is out of place; put the cell in quotes, and double "
            "the quotes inside it"
        ) from None


def _names(header: str, delimiter: str) -> list[str]:
    """The cells of the header; none where its quotes make no sense with this delimiter."""
    try:
        return _cells(header, delimiter)
    except RowError:
        return []


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    """One object of an NDJSON roster."""

    username: str | None = None
    email: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    display_name: str | None = None
    password: str | None = None
    groups: str | list[str] | None = None
    title: str | None = None
    phone: str | None = None
    employee_number: str | None = None
    department: str | None = None
    division: str | None = None
    organization: str | None = None
    cost_center: str | None = None
    manager: str | None = None
    botrix_reason: object = None


class _Ndjson:
    """One JSON object a line."""

    def __init__(self, form: Form) -> None:
        self.ignored: tuple[str, ...] = ()
        self.columns: tuple[tuple[str, str | None], ...] = ()
        self.mapping: str | None = None
        self.delimiters = ""
        self.most = MAX_ROW
        self._lines = form.lines()
        self._decoder = msgspec.json.Decoder(_Line)
        self._secret = False

    def row(self, number: int, record: Record) -> Row | None:
        try:
            text = record.text()
            if not text.strip(BLANK):
                return None
            line = self._line(text)
        except RowError:
            self._secret = self._secret or record.oversize or may_hold_secret(record.data)
            raise
        self._secret = self._secret or line.password is not None
        cells = {
            name: cell for name, cell in msgspec.structs.asdict(line).items() if cell is not None
        }
        return _row(number, self._lines.read(cells), record, line.botrix_reason)

    def layout(self) -> Layout:
        return Layout(kind="ndjson", secret=self._secret)

    def _line(self, text: str) -> _Line:
        try:
            return self._decoder.decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise RowError(CONTROL.sub("?", str(error))[:200]) from None

    def finish(self) -> None:
        pass


def _row(number: int, draft: Draft, record: Record, reason: object) -> Row:
    """reason: what is said of it in a file of failed rows; None elsewhere."""
    naming, had = draft.naming, had_name(reason)
    if naming is not None and had is not None:
        naming = dataclasses.replace(naming, had=had)
    return Row(number, draft.person, draft.password, naming, record.data)
