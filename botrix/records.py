"""The rows of a roster as they are written: bytes in, in pieces of any size, records out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from botrix.columns import RowError
from botrix.upload import MAX_ROW

_BEGINNING = 1024
"""Bytes that are kept of a longer row, so that people know it again."""

SAVE_AS_UTF8 = "save it as 'CSV UTF-8' and send it again"


class Format(Protocol):
    """delimiters: of cells; "" where none is quoted. most: bytes of a row. Both may change with a
    row that was drawn."""

    delimiters: str
    most: int


@dataclass(slots=True)
class Record:
    """The bytes of one row, without its newline; the first ones where they were too many."""

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
            raise RowError(f"not UTF-8; {SAVE_AS_UTF8}") from None


# Where the scanner stands: at the start of a cell, in one, in a quoted one, behind a quote in it.
_START, _PLAIN, _QUOTED, _BEHIND = range(4)
_QUOTE = ord('"')


class Records:
    """Splits bytes into records at the newlines outside quotes, whatever pieces they come in.

    As in the csv module, a quote opens a quoted cell only at the start of one. The header decides
    on the delimiter while records are being drawn, so it is asked for anew after each record.
    """

    def __init__(self, format_: Format) -> None:
        self._format = format_
        self._state = _START
        self._buffer = bytearray()
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Record]:
        start = 0
        while (end := self._end(data, start)) >= 0:
            yield self._take(data[start:end])
            start = end + 1
        self._keep(data[start:])

    def finish(self) -> Iterator[Record]:
        if self._size:
            yield self._take(b"")

    def _take(self, data: bytes) -> Record:
        self._keep(data)
        oversize = self._size > self._format.most
        record = Record(bytes(self._buffer), oversize, self._state == _QUOTED)
        self._buffer.clear()
        self._size = 0
        self._state = _START
        return record

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._format.most:
            self._buffer += data
        else:
            self._buffer += data[:_BEGINNING]
            del self._buffer[_BEGINNING:]

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
