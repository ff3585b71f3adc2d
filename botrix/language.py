"""The language of templates: Liquid (python-liquid), of which only this is there: output, `if`,
`unless`, `case`, `assign`, and the filters of `filters.py`. No loops, files, includes or dates, no
properties of what a column holds, no ranges; an unknown column or filter is an error, not a blank.
What a template consists of is looked through when it is read, so that nothing else can be in it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from liquid import BoundTemplate, Environment, StrictUndefined
from liquid.ast import Node
from liquid.builtin import assign_tag, case_tag, content, if_tag, illegal, output, unless_tag
from liquid.builtin.expressions import FilteredExpression, Path, logical, primitive
from liquid.builtin.expressions.filtered import Filter
from liquid.context import RenderContext
from liquid.exceptions import LiquidError, LiquidTypeError
from liquid.expression import Expression

from botrix.errors import InvalidInput
from botrix.filters import FILTERS, LONGEST, FilterProblem

MAX_TEXT = 1000
MAX_FILTERS = 24
"""In one text: what bounds how long a row takes."""
_TAGS: tuple[Any, ...] = (
    content.Literal, output.Output, illegal.Illegal,
    if_tag.IfTag, unless_tag.UnlessTag, case_tag.CaseTag, assign_tag.AssignTag,
)  # fmt: skip
_EXPRESSIONS = frozenset({
    FilteredExpression, logical.BooleanExpression, logical.LogicalAndExpression,
    logical.LogicalOrExpression, logical.EqExpression, logical.NeExpression,
    logical.LeExpression, logical.GeExpression, logical.LtExpression, logical.GtExpression,
    logical.ContainsExpression, Path, primitive.Nil, primitive.Empty, primitive.Blank,
    primitive.TrueLiteral, primitive.FalseLiteral, primitive.StringLiteral,
    primitive.IntegerLiteral,
})  # fmt: skip


class _Language(Environment):
    block_nesting_limit = 8
    output_stream_limit = 4 * LONGEST
    local_namespace_limit = 16 * LONGEST

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        for tag in _TAGS:
            self.add_tag(tag)
        for name, work in FILTERS.items():
            self.add_filter(name, work)


_LANGUAGE = _Language(undefined=StrictUndefined, strict_filters=True, autoescape=False)


class Text:
    """One text with places to fill in. name: what it is of, for errors."""

    def __init__(self, name: str, source: str) -> None:
        """Raises InvalidInput where it cannot be used."""
        self._name = name
        if len(source) > MAX_TEXT:
            raise self._refused(f"is longer than {MAX_TEXT} characters")
        try:
            self._template = _LANGUAGE.from_string(source)
            self.columns = _columns(self._template)
        except _Refused as problem:
            raise self._refused(str(problem)) from None
        except LiquidError as error:
            raise self._refused(f"cannot be read: {_line(error)}") from None
        except Exception:  # the parser is somebody else's, and what it reads comes from anywhere
            raise self._refused("cannot be read") from None

    def fill(self, columns: Mapping[str, str]) -> str:
        """Raises InvalidInput; the reason never quotes a cell."""
        if any(len(columns[name]) > LONGEST for name in self.columns):
            raise self._refused(f"is made of a cell of more than {LONGEST} characters; shorten it")
        try:
            return self._template.render(columns)
        except FilterProblem as problem:
            raise self._refused(f"uses a filter that {problem}") from None
        except LiquidTypeError:
            reason = "compares a text with what is none; put quotes around the number"
            raise self._refused(reason) from None
        except Exception:  # as above; and its words may have a cell in them
            raise self._refused("cannot be filled in, or becomes too long") from None

    def _refused(self, problem: str) -> InvalidInput:
        return InvalidInput(f"the template's {self._name} {problem}")


class _Refused(Exception):
    """Something that is no part of the language here."""


def _line(error: LiquidError) -> str:
    return " ".join(str(error.message).split())[:200]


def _columns(template: BoundTemplate) -> frozenset[str]:
    """Those that it uses. Raises _Refused where something else than is allowed is in it."""
    filters = 0
    for expression in _expressions(template):
        if type(expression) not in _EXPRESSIONS:
            raise _Refused("uses something that is no part of the language here, such as a range")
        if isinstance(expression, FilteredExpression):
            for one in expression.filters or ():
                _check_filter(one)
                filters += 1
        if isinstance(expression, Path):
            _check_path(expression)
    if filters > MAX_FILTERS:
        raise _Refused(f"uses more than {MAX_FILTERS} filters; use fewer")
    return frozenset(template.analyze(include_partials=False).globals)


def _expressions(template: BoundTemplate) -> Iterator[Expression]:
    context = RenderContext(template)
    nodes: list[Node] = list(template.nodes)
    while nodes:
        node = nodes.pop()
        nodes += node.children(context, include_partials=False)
        waiting = list(node.expressions())
        if isinstance(node, case_tag.MultiExpressionBlockNode):
            _check_when(node.expression.expressions)
            waiting = [node.expression.left, *node.expression.children()]
        while waiting:
            expression = waiting.pop()
            yield expression
            waiting += expression.children()


def _check_when(choices: Sequence[Expression]) -> None:
    """Liquid fills a block in once for each choice that is met: nested, that is for ever."""
    values = [str(getattr(choice, "value", None)) for choice in choices]
    literals = (primitive.StringLiteral, primitive.IntegerLiteral)
    if len(set(values)) < len(values) or not all(isinstance(one, literals) for one in choices):
        raise _Refused("has a `when` that names other things than texts, or one of them twice")


def _check_path(path: Path) -> None:
    if len(path.path) != 1 or not isinstance(path.path[0], str):
        raise _Refused(
            f"asks for a part of a column by {str(path)[:40]!a}; name a column alone, as in "
            '{{ given_name }} or {{ ["Roll No"] }}, and use a filter'
        )


def _check_filter(used: Filter) -> None:
    work = FILTERS.get(used.name)
    if work is None:
        raise _Refused(f"uses the unknown filter {used.name[:40]!a}; there are: {_FILTERS}")
    named = [getattr(argument, "name", "") for argument in used.args]
    if any(named):
        raise _Refused(f"gives a name to what the filter {used.name!a} takes; leave it out")
    try:
        inspect.signature(work).bind("", *used.args)
    except TypeError:
        wanted = "more" if not used.args else "something else"
        raise _Refused(f"does not give the filter {used.name!a} what it takes: {wanted}") from None


_FILTERS = ", ".join(FILTERS)
