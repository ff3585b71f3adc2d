"""Many rows in one statement of SQLite.

Each statement, and each row that it gives, lets another thread of Python in, which is dear while
one of them is busy. So rows go in by the hundreds in one VALUES, and come out as one JSON text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_SIZES = (250, 100, 20, 5, 1)  # few sizes, so that prepared statements are found again


def write(
    db: sqlite3.Connection,
    sql: str,
    row: str,
    rows: Sequence[Sequence[Any]],
    before: Sequence[Any] = (),
    after: Sequence[Any] = (),
) -> int:
    """sql: with {} where the rows go; row: the placeholders of one. before, after: values of the
    placeholders on both sides of the rows; a row can name those before as ?1, ?2. How many rows
    were changed (the driver counts only for statements that begin with INSERT or UPDATE)."""
    changed = 0
    for part in _parts(rows):
        values = [*before, *chain.from_iterable(part), *after]
        changed += db.execute(_statement(sql, row, len(part)), values).rowcount
    return changed


def read(db: sqlite3.Connection, sql: str, values: Sequence[Any], kind: type[T]) -> T:
    """sql: of one row and column, which is JSON (or NULL for none)."""
    text = db.execute(sql, values).fetchone()[0]
    return msgspec.json.decode(text or "[]", type=kind)


def as_json(values: Sequence[Any]) -> str:
    """For json_each."""
    return msgspec.json.encode(values).decode()


def _parts(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    start = 0
    while start < len(rows):
        size = next(size for size in _SIZES if size <= len(rows) - start)
        yield rows[start : start + size]
        start += size


@lru_cache(maxsize=64)
def _statement(sql: str, row: str, size: int) -> str:
    return sql.format(", ".join([row] * size))
