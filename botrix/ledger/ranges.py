"""Lists as ranges of an index: what is asked for is cut into ranges, each in the order of the list.

However rare what matches is, only what is shown is read. That holds whatever the database believes
of its data. PostgreSQL is asked for the order of all columns of an index, which nothing but that
index gives: where two indexes give an order, it takes the one that looks cheaper by statistics that
may be old, and may read all of it. SQLite is told the name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

Column = sa.ColumnElement[Any]
Query = sa.Select[Any]


@dataclass(frozen=True, slots=True)
class Range:
    """Rows of an index whose first columns have the values `fixed`. Of the columns after these,
    start is to be passed, and end not. index: its name, where SQLite needs it. where: conditions
    besides, among them that of a partial index, letter by letter."""

    index: str
    table: sa.Table
    columns: tuple[Column, ...]
    fixed: tuple[Any, ...]
    start: tuple[Any, ...]
    end: tuple[Any, ...] = ()
    descending: bool = False
    where: tuple[Any, ...] = ()

    def select(self, wanted: Sequence[Column], limit: int, dialect: str) -> Query:
        """The first of them, in order."""
        conditions = self._named() if dialect == "sqlite" else self._forced()
        query = sa.select(*wanted).where(*conditions, *self.where).limit(limit)
        if self.index:
            query = query.with_hint(self.table, f"INDEXED BY {self.index}", "sqlite")
        fixed = len(self.fixed) if dialect == "sqlite" else 0
        columns = self.columns[fixed:]
        return query.order_by(*(c.desc() if self.descending else c for c in columns))

    def _forced(self) -> list[Column]:
        ends = [self._passed(self.columns, (*self.fixed, *self.start))]
        return [*ends, self._kept(self.columns, (*self.fixed, *self.end))]

    def _named(self) -> list[Column]:
        same = [c == v for c, v in zip(self.columns, self.fixed, strict=False)]
        rest = self.columns[len(self.fixed) :]
        ends = [self._kept(rest, self.end)] if self.end else []
        # SQLite bounds an index by the first of several columns only, if that is an expression
        ends.append(_bound(rest[0], self.start[0], down=self.descending))
        return [*same, self._passed(rest, self.start), *ends]

    def _passed(self, columns: Sequence[Column], values: Sequence[Any]) -> Any:
        left, right = _tuples(columns, values)
        return left < right if self.descending else left > right

    def _kept(self, columns: Sequence[Column], values: Sequence[Any]) -> Any:
        left, right = _tuples(columns, values)
        return left >= right if self.descending else left <= right


def _bound(column: Column, value: Any, *, down: bool) -> Any:
    (left, right) = _tuples([column], [value])
    return left <= right if down else left >= right


def _tuples(columns: Sequence[Column], values: Sequence[Any]) -> tuple[Any, Any]:
    pairs = list(zip(columns, values, strict=False))
    bound = [v if isinstance(v, sa.ColumnElement) else sa.literal(v, c.type) for c, v in pairs]
    if len(pairs) == 1:
        return columns[0], bound[0]
    return sa.tuple_(*(c for c, _ in pairs)), sa.tuple_(*bound)


def merged(parts: Sequence[Query], order: Sequence[str], limit: int, *, down: bool) -> sa.Subquery:
    """The first of what these give, each in order; as a subquery."""
    if len(parts) == 1:
        return parts[0].subquery("found")
    together = sa.union_all(*(sa.select(part.subquery()) for part in parts)).subquery("together")
    columns = [together.c[name] for name in order]
    query = sa.select(together).order_by(*(c.desc() if down else c for c in columns))
    return query.limit(limit).subquery("found")
