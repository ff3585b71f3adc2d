"""The last events, as they are sent: read once from the line, for all who listen here.

Whoever listens keeps a number, of what he has not been sent yet. Numbers go on for ever, the ring
holds the last few thousand; who falls behind it has missed something. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

MOST = 4096
PULSE = "\x00pulse"
"""The key of what is no job."""
_CHUNK = 64 * 1024
"""Bytes that are sent at once: so many, and what the socket holds, are kept for who is slow."""
_NEWEST = 1000
"""Jobs that one is told of at once who asked for the newest of each."""


class Item(NamedTuple):
    """id: in the stream, "" of what is not in it. key: the job's id. frame: as it is sent. over:
    nothing more comes of the job by itself."""

    id: str
    tenant_id: str
    key: str
    frame: bytes
    over: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """What one who listens is sent next. end: his next number; at: the id of the last event before
    it. left_out: of more jobs than these
    there was news. over: that of a job."""

    end: int
    at: str
    chunks: Sequence[bytes]
    left_out: bool = False
    over: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """job_id: of this one alone; else of all, and how the whole is. newest: only the last of each
    job."""

    tenant_id: str
    job_id: str | None = None
    newest: bool = False

    def fits(self, item: Item) -> bool:
        if item.tenant_id != self.tenant_id:
            return False
        return self.job_id is None or item.key == self.job_id


@dataclass(slots=True)
class Ring:
    """first: the number of the oldest item. newest: the id of the last event of the stream that
    passed, "" where none is known. epoch: grows where something was missed by all."""

    most: int = MOST
    first: int = 0
    newest: str = ""
    epoch: int = 0
    _before: str = ""  # the id right before the oldest item
    _items: list[Item] = field(default_factory=list)
    _batches: dict[tuple[Wish, int], Batch] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.first + len(self._items)

    def add(self, items: Iterable[Item]) -> None:
        before = len(self._items)
        self._items += items
        for item in reversed(self._items[before:]):
            if item.id:
                self.newest = item.id
                break
        if len(self._items) > 2 * self.most:  # rarely, since what is left is moved
            self._drop(len(self._items) - self.most)
        self._batches.clear()

    def begin(self, newest: str, items: Sequence[Item] = ()) -> None:
        """Anew, behind `newest`: what was missed is missed by all."""
        self.first, self.epoch = self.end, self.epoch + 1
        self._items.clear()
        self._before = self.newest = newest
        self.add(items)

    def number_after(self, ident: str) -> int | None:
        """Of what follows that event; None where it is not here."""
        if ident and ident == self._before:
            return self.first
        for n in range(len(self._items) - 1, -1, -1):
            if self._items[n].id == ident:
                return self.first + n + 1
        return None

    def batch(self, wish: Wish, number: int) -> Batch | None:
        """What is there for him from that number on; None where he has missed something. Made once
        for all who want the same."""
        if number < self.first:
            return None
        found = self._batches.get((wish, number))
        if found is None:
            found = self._made(wish, number)
            self._batches[wish, number] = found
        return found

    def _made(self, wish: Wish, number: int) -> Batch:
        items = [item for item in self._items[number - self.first :] if wish.fits(item)]
        over, left_out = any(item.over for item in items), False
        if wish.newest:
            last = {item.key: n for n, item in enumerate(items)}
            items = [item for n, item in enumerate(items) if last[item.key] == n]
            left_out = len(items) > _NEWEST
        made = chunks(item.frame for item in (items[-_NEWEST:] if left_out else items))
        return Batch(self.end, self.newest, made, left_out, over)

    def _drop(self, n: int) -> None:
        self._before = self._items[n - 1].id
        del self._items[:n]
        self.first += n


def chunks(frames: Iterable[bytes]) -> list[bytes]:
    """As they are sent at once."""
    made: list[bytes] = []
    part: list[bytes] = []
    size = 0
    for frame in frames:
        part.append(frame)
        size += len(frame)
        if size >= _CHUNK:
            made.append(b"".join(part))
            part, size = [], 0
    return [*made, b"".join(part)] if part else made
