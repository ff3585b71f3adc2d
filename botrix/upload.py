"""A roster as it came, so that rows of it can be given back: its layout, and chunks of its records.

Cells are kept and given back as they were written, quotes included; added is a column (in NDJSON a
key) REASON. A row that cannot be used stays one that cannot, even where a spreadsheet has filled it
up with empty cells: the reader knows a reason that stands in another column by how it begins.
A good row is kept without its password, which the ledger holds sealed by itself.
"""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Container, Sequence
from functools import cache
from typing import Literal

import msgspec

MAX_ROW = 64 * 1024
"""Bytes of a row."""
REASON = "botrix_reason"
ROOM = 8 * 1024
"""By so many it may be longer in a file that has a column of reasons."""
_LINE = "botrix_line"
"""The key of a line that is no object."""
_LONGEST = 500
_BEGINS = re.compile(r"botrix row [0-9]+: ")
_HAD = re.compile(r"botrix row [0-9]+: as ([a-z0-9._@+-]+[0-9](?:@[a-z0-9.-]+)?): ")
_SECRET = re.compile(
    r"pass|pwd|\bpin\b|secret|token|kennwort|contrase|senha|wachtwoord|has[lł]o|heslo|l[öo]senord"
    r"|parola|salasana|пароль|密码|密碼|パスワード|비밀번호"
)
_NOTHING = msgspec.Raw(b'""')


class Layout(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """before: what stood above the header. header: as it was written. signed: by a BOM. width: how
    many cells it has; passwords, reason: which of them. secret: whether a row may hold a password.
    first: number of the first row that is kept."""

    kind: Literal["csv", "ndjson"]
    before: str = ""
    header: str = ""
    delimiter: str = ""
    newline: str = "\n"
    signed: bool = False
    width: int = 0
    passwords: tuple[int, ...] = ()
    reason: int | None = None
    secret: bool = False
    first: int = 0

    def text(self) -> str:
        """As `read_layout` reads it."""
        return msgspec.json.encode(self).decode()

    def top(self) -> bytes:
        """What stands above the rows that are given back."""
        signature = b"\xef\xbb\xbf" if self.signed else b""
        if self.kind == "ndjson":
            return signature
        added = "" if self.reason is not None else self.delimiter + REASON
        return signature + (self.before + self.header + added + self.newline).encode()


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The bytes of a row, without its newline. given: it has a password, which in a chunk is taken
    out. cut: only the beginning is known."""

    number: int
    data: bytes
    given: bool = False
    cut: bool = False


_layouts = msgspec.json.Decoder(Layout)
_records = msgspec.msgpack.Decoder(list[Record])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_layout(text: str) -> Layout:
    """What `Layout.text` made."""
    return _layouts.decode(text)


def packed(layout: Layout, records: Sequence[Record], whole: Container[int]) -> bytes:
    """A chunk. whole: numbers of those that keep their password, for no account has it."""
    kept = [
        _without_password(layout, one) if one.given and one.number not in whole else _whole(one)
        for one in records
    ]
    return zlib.compress(msgspec.msgpack.encode(kept), 1)


def unpacked(chunk: bytes) -> list[Record]:
    """What `packed` made."""
    return _records.decode(zlib.decompress(chunk))


def given_back(layout: Layout, record: Record, reason: str, password: str | None) -> bytes:
    """A row with its reason. password: of one that was taken out; None where it is no more."""
    said = f"botrix row {record.number}: {reason}"[:_LONGEST]
    if layout.kind == "ndjson":
        return _line(record, said, password) + layout.newline.encode()
    return (_row(layout, record, said, password) + layout.newline).encode()


def is_reason(cell: str) -> bool:
    """Whether it was written here."""
    return cell.startswith("botrix row ") and _BEGINS.match(cell) is not None


def said_of(username: str, reason: str) -> str:
    """With the username, where it may have a number that the row alone would not give again."""
    return f"as {username}: {reason}" if username.partition("@")[0][-1:].isdigit() else reason


def had_name(reason: object) -> str | None:
    """The username that `said_of` told."""
    found = _HAD.match(reason) if isinstance(reason, str) else None
    return found[1] if found else None


def names_secret(name: str) -> bool:
    """Whether a column of this name is likely to hold passwords, also one that is ignored."""
    return _SECRET.search(name.casefold()) is not None


def may_hold_secret(line: bytes) -> bool:
    """Of NDJSON that cannot be used: by its keys, or since it has none."""
    said = _read(line)
    return said is None or any(names_secret(key) for key in said)


def _whole(record: Record) -> Record:
    return Record(record.number, record.data, cut=record.cut) if record.given else record


def _without_password(layout: Layout, record: Record) -> Record:
    if layout.kind == "ndjson":
        said = _read(record.data) or {}
        return Record(record.number, msgspec.json.encode(said | {"password": _NOTHING}), given=True)
    delimiter = layout.delimiter.encode()
    if b'"' in record.data:
        cells = [cell.encode() for cell in _cells(_text(record.data), layout.delimiter)]
    else:  # as most are, and quicker
        cells = record.data.split(delimiter)
    for at in layout.passwords:
        cells[at] = b""
    return Record(record.number, delimiter.join(cells), given=True)


def _line(record: Record, reason: str, password: str | None) -> bytes:
    said = None if record.cut else _read(record.data)
    if said is None:
        return msgspec.json.encode({_LINE: _text(record.data), REASON: reason})
    said.pop(REASON, None)
    if record.given and password is not None:
        said["password"] = msgspec.Raw(msgspec.json.encode(password))
    line = msgspec.json.encode(said | {REASON: msgspec.Raw(msgspec.json.encode(reason))})
    return line if len(line) <= MAX_ROW else msgspec.json.encode(said)


def _read(line: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        return _object.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _row(layout: Layout, record: Record, reason: str, password: str | None) -> str:
    """Never with the reason in its column, nor with as many cells as the header, where the row had
    another number of them or cannot be split: then it is one cell."""
    said, text = _quoted(reason), _text(record.data)
    if record.cut or not _is_utf8(record.data) or not _splits(text, layout.delimiter):
        cells = [_quoted(text)]
    else:
        cells = _cells(text, layout.delimiter)
        if len(cells) == layout.width:
            return layout.delimiter.join(_filled(layout, cells, said, record, password))
        if is_reason(cells[-1].removeprefix('"')):  # of the time before
            cells.pop()
    width = layout.width + (layout.reason is None)
    beside = ["", said] if len(cells) + 1 == width else [said]
    return layout.delimiter.join([*cells, *beside])


def _filled(
    layout: Layout, cells: list[str], reason: str, record: Record, password: str | None
) -> list[str]:
    if record.given and password is not None:
        cells[layout.passwords[0]] = (
            _quoted(password) if _needs_quotes(password, layout) else password
        )
    if layout.reason is None:
        return [*cells, reason]
    cells[layout.reason] = reason
    return cells


def _needs_quotes(text: str, layout: Layout) -> bool:
    return any(sign in text for sign in (layout.delimiter, '"', "\r", "\n"))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(data: bytes) -> str:
    return data.removesuffix(b"\r").decode(errors="replace")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _splits(text: str, delimiter: str) -> bool:
    try:
        next(csv.reader((text,), delimiter=delimiter, strict=True), [])
    except csv.Error:
        return False
    return True


def _cells(text: str, delimiter: str) -> list[str]:
    """As they are written; of a text that splits."""
    cells, at, ended = [], 0, False
    while not ended:
        found = _cell(delimiter).match(text, at)
        assert found is not None
        cells.append(found[1])
        at, ended = found.end(), found.end() == found.end(1)
    return cells


@cache
def _cell(delimiter: str) -> re.Pattern[str]:
    end = re.escape(delimiter)
    return re.compile(rf'("[^"]*(?:""[^"]*)*"|[^{end}]*)(?:{end}|\Z)')
