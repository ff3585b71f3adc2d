"""Reads a roster (CSV or NDJSON) as it arrives: bytes in, rows out, in constant memory.

A file that cannot be read at all raises InvalidInput: wrong encoding, no header, an unclear one.
Whatever is wrong with one row makes a BadRow, and the rows around it are read all the same.
Reasons name the column and never quote the cell: in a shifted row, any cell may be a password.

Numbers are those that a spreadsheet shows: the header is row 1, blank rows count, and a row with a
line break inside a quoted cell counts once.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from botrix.columns import RowError, field_of, fields_of, read_row
from botrix.errors import InvalidInput
from botrix.extra import BLANK, CONTROL
from botrix.model import Person

MAX_ROW = 64 * 1024

_SAVE_AS_UTF8 = "save it as 'CSV UTF-8' and send it again"


@dataclass(frozen=True, slots=True)
class Row:
    """A usable row. What it does not say is "" in `person`; `Planner.person_from_row` fills it."""

    number: int
    person: Person
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used, and why: one line, without any of its cells."""

    number: int
    reason: str


class RosterReader:
    """Feed it bytes in pieces of any size, then call `finish` once."""

    def __init__(self, content_type: str) -> None:
        self._format = _format_of(content_type)
        self._records = _Records(self._format)
        self._head: bytes | None = b""
        self._number = 0

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """The columns of the header that mean nothing here."""
        return self._format.ignored

    def feed(self, data: bytes) -> list[Row | BadRow]:
        """Raises InvalidInput where the whole file cannot be used."""
        if self._head is not None:
            self._head += data
            if len(self._head) < 4:
                return []
            data, self._head = _without_signature(self._head), None
        return self._read(self._records.feed(data))

    def finish(self) -> list[Row | BadRow]:
        rows: list[Row | BadRow] = []
        if self._head is not None:
            data, self._head = _without_signature(self._head), None
            rows += self._read(self._records.feed(data))
        rows += self._read(self._records.finish())
        self._format.finish()
        return rows

    def _read(self, records: Iterator[_Record]) -> list[Row | BadRow]:
        rows: list[Row | BadRow] = []
        for record in records:
            self._number += 1
            try:
                if row := self._format.row(self._number, record):
                    rows.append(row)
            except RowError as error:
                rows.append(BadRow(self._number, str(error)))
        return rows


@dataclass(slots=True)
class _Record:
    """The bytes of one row, without its newline; emptied where they were too many."""

    data: bytes
    oversize: bool = False
    unclosed: bool = False

    def text(self) -> str:
        if self.unclosed:
            raise RowError(
                "a quote that opens in this row is never closed, so that the rest of the file "
                "could not be read; close it"
            )
        if self.oversize:
            raise RowError(f"longer than {MAX_ROW // 1024} KiB; shorten it, or look for a quote")
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            raise RowError(f"not UTF-8; {_SAVE_AS_UTF8}") from None


def _format_of(content_type: str) -> _Csv | _Ndjson:
    kind, _, parameters = content_type.lower().partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]*)", parameters)
    if charset and charset[1] not in {"utf-8", "utf8", "us-ascii"}:
        raise InvalidInput(f"a roster must be UTF-8; {_SAVE_AS_UTF8}")
    if kind.strip() == "text/csv":
        return _Csv()
    if kind.strip() == "application/x-ndjson":
        return _Ndjson()
    raise InvalidInput(f"a roster cannot be {kind[:80]!a}; send text/csv or application/x-ndjson")


def _without_signature(head: bytes) -> bytes:
    """The first bytes of the file without their BOM."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        raise InvalidInput(f"the file is UTF-16 or UTF-32; {_SAVE_AS_UTF8}")
    if head.startswith(b"PK\x03\x04"):
        raise InvalidInput(f"the file is a workbook or an archive; {_SAVE_AS_UTF8}")
    return head.removeprefix(b"\xef\xbb\xbf")


# Where the scanner stands: at the start of a cell, in one, in a quoted one, behind a quote in it.
_START, _PLAIN, _QUOTED, _BEHIND = range(4)
_QUOTE = ord('"')


class _Records:
    """Splits bytes into records at the newlines outside quotes, whatever pieces they come in.

    As in the csv module, a quote opens a quoted cell only at the start of one. The header decides
    on the delimiter while records are being drawn, so it is asked for anew after each record.
    """

    def __init__(self, format_: _Csv | _Ndjson) -> None:
        self._format = format_
        self._state = _START
        self._buffer = bytearray()
        self._size = 0

    def feed(self, data: bytes) -> Iterator[_Record]:
        start = 0
        while (end := self._end(data, start)) >= 0:
            yield self._take(data[start:end])
            start = end + 1
        self._keep(data[start:])

    def finish(self) -> Iterator[_Record]:
        if self._size:
            yield self._take(b"")

    def _take(self, data: bytes) -> _Record:
        self._keep(data)
        record = _Record(bytes(self._buffer), self._size > MAX_ROW, self._state == _QUOTED)
        self._buffer.clear()
        self._size = 0
        self._state = _START
        return record

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= MAX_ROW:
            self._buffer += data
        else:
            self._buffer.clear()

    def _end(self, data: bytes, start: int) -> int:
        """Where the record ends that goes on at `start`; -1 where it does not end in `data`."""
        if not self._format.delimiters:
            return data.find(b"\n", start)
        if self._state in {_START, _PLAIN}:
            end = data.find(b"\n", start)
            if end >= 0 and data.find(b'"', start, end) < 0:
                return end
        return self._scan(data, start)

    def _scan(self, data: bytes, at: int) -> int:
        cell_end = re.compile(f"[\n{re.escape(self._format.delimiters)}]".encode())
        while at < len(data):
            if self._state == _QUOTED:
                at = data.find(b'"', at) + 1
                if not at:
                    return -1
                self._state = _BEHIND
            elif self._state != _PLAIN and data[at] == _QUOTE:
                self._state = _QUOTED
                at += 1
            elif found := cell_end.search(data, at):
                if found[0] == b"\n":
                    self._state = _PLAIN
                    return found.start()
                self._state = _START
                at = found.end()
            else:
                self._state = _PLAIN
                return -1
        return -1


class _Csv:
    """Comma-separated values, or what a spreadsheet takes for them in other countries."""

    def __init__(self) -> None:
        self.ignored: tuple[str, ...] = ()
        self.delimiters = ",;\t|"  # until the header tells which one it is
        self._fields: list[str | None] = []

    def row(self, number: int, record: _Record) -> Row | None:
        if not self._fields:
            self._read_header(record)
            return None
        cells = _cells(record.text(), self.delimiters)
        if not any(cell.strip(BLANK) for cell in cells):
            return None
        if len(cells) != len(self._fields):
            raise RowError(
                f"has {len(cells)} cells where the header has {len(self._fields)}; "
                "put a cell that holds the delimiter in quotes"
            )
        named = zip(self._fields, cells, strict=True)
        return _row(number, {name: cell for name, cell in named if name})

    def finish(self) -> None:
        if not self._fields:
            raise InvalidInput("the roster is empty; its first row must name the columns")

    def _read_header(self, record: _Record) -> None:
        try:
            text = record.text()
            if not text.strip(BLANK):
                return
            if "\0" in text:
                raise InvalidInput(f"the file is UTF-16 or no text at all; {_SAVE_AS_UTF8}")
            if "\r" in text.removesuffix("\r") and '"' not in text:
                raise InvalidInput(f"the rows end in carriage returns alone; {_SAVE_AS_UTF8}")
            guesses = [(_names(text, delimiter), delimiter) for delimiter in self.delimiters]
        except RowError as error:
            raise InvalidInput(f"the header cannot be read: {error}") from None
        names, self.delimiters = max(guesses, key=lambda guess: _weight(guess[0]))
        self._fields = fields = fields_of(names)
        self.ignored = tuple(
            CONTROL.sub("?", name.strip(BLANK))[:80]
            for name, known in zip(names, fields, strict=True)
            if known is None
        )


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


def _weight(names: list[str]) -> tuple[int, int]:
    """How well a guess of the delimiter fits: columns recognised, then columns found."""
    return sum(field_of(name) is not None for name in names), len(names)


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


class _Ndjson:
    """One JSON object a line."""

    def __init__(self) -> None:
        self.ignored: tuple[str, ...] = ()
        self.delimiters = ""
        self._decoder = msgspec.json.Decoder(_Line)

    def row(self, number: int, record: _Record) -> Row | None:
        text = record.text()
        if not text.strip(BLANK):
            return None
        try:
            line = self._decoder.decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise RowError(CONTROL.sub("?", str(error))[:200]) from None
        cells = {
            name: cell for name, cell in msgspec.structs.asdict(line).items() if cell is not None
        }
        return _row(number, cells)

    def finish(self) -> None:
        pass


def _row(number: int, cells: dict[str, Any]) -> Row:
    person, password = read_row(cells)
    return Row(number, person, password)
