"""What an expression of PromQL asks for, as a parser reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import promql_parser as ql

OF_PROMETHEUS = {"job", "instance"}
"""Labels that Prometheus adds to whatever it scrapes."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One series, by name; matchers: label, operator and value. grouped: labels that an aggregation
    around it names."""

    name: str
    matchers: tuple[tuple[str, str, str], ...] = ()
    grouped: frozenset[str] = field(default_factory=frozenset)

    @property
    def labels(self) -> set[str]:
        return {label for label, _, _ in self.matchers} | self.grouped


def selected(expression: str) -> list[Selected]:
    """Raises ValueError for what is no PromQL."""
    return list(_walked(ql.parse(expression), frozenset()))


def _walked(node: Any, grouped: frozenset[str]) -> Iterator[Selected]:
    match node:
        case ql.VectorSelector():
            matchers = tuple((m.name, str(m.op), m.value) for m in node.matchers.matchers)
            yield Selected(node.name, matchers, grouped)
        case ql.MatrixSelector():
            yield from _walked(node.vector_selector, grouped)
        case ql.AggregateExpr():
            named = frozenset(node.modifier.labels) if node.modifier else frozenset()
            yield from _walked(node.expr, grouped | named)
        case ql.Call():
            for one in node.args:
                yield from _walked(one, grouped)
        case ql.BinaryExpr():
            yield from _walked(node.lhs, grouped)
            yield from _walked(node.rhs, grouped)
        case ql.ParenExpr() | ql.UnaryExpr() | ql.SubqueryExpr():
            yield from _walked(node.expr, grouped)
