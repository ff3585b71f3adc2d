"""Tables for people, JSON for programs. A terminal gets a table that fits; a pipe, all of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from botrix.plain import escaped, plain

_WIDE = 160
_LEAST = 12
_NOTHING = frozenset({"", "0", "no"})
_ALWAYS = ("failed",)
"""What is looked for, and so is missed where it is not there."""
_SPARED = ("priority", "directory", "uptime_seconds")
"""What is left out last where there still is no room."""
_GAP = 2


def say(text: str, err: bool = False) -> None:
    """One line, whatever is in it."""
    click.echo(plain(text), err=err)


def print_json(value: Any) -> None:
    """One line, readable for people too."""
    click.echo(escaped(json.dumps(value, ensure_ascii=False)))


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """One JSON document, or a table of the named columns."""
    if as_json:
        print_json(list(rows))
        return
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = [_Column(name, [_cell(row.get(name)) for row in rows]) for name in columns]
    to = Console()
    widths = [max(cell_len(text) for text in (one.title, *one.cells)) for one in shown]
    if to.is_terminal:
        shown, widths = _fitted(shown, widths, to.width)
    table = Table(box=None, header_style="bold", pad_edge=not to.is_terminal)
    for one, width in zip(shown, widths, strict=True):
        table.add_column(Text(one.title), no_wrap=True, max_width=width)
    for cells in zip(*(one.cells for one in shown), strict=True):
        table.add_row(*(Text(cell) for cell in cells))
    Console(width=max(to.width, _WIDE)).print(table, crop=False)  # an id is never cut


class _Column(NamedTuple):
    name: str
    cells: list[str]

    @property
    def title(self) -> str:
        return self.name.replace("_", " ")

    @property
    def says_nothing(self) -> bool:
        return self.name not in _ALWAYS and _NOTHING.issuperset(self.cells)


def _fitted(
    columns: list[_Column], widths: list[int], room: int
) -> tuple[list[_Column], list[int]]:
    """As many as a window has room for: without those that say nothing, then without some, then
    with the widest cut; never the first, by which a thing is named."""
    kept = list(zip(columns, widths, strict=True))
    if columns[0].cells and _over(kept, room) > 0:
        kept = [kept[0], *(one for one in kept[1:] if not one[0].says_nothing)]
    for name in _SPARED:
        if _over([(one, min(width, _LEAST)) for one, width in kept[1:]], room - kept[0][1]) > 0:
            kept = [one for one in kept if one[0].name != name]
    cut = [width for _, width in kept]
    for _ in range(_over(kept, room)):
        if (most := max(cut[1:], default=0)) > _LEAST:
            cut[cut.index(most, 1)] -= 1
    return [one for one, _ in kept], cut


def _over(columns: list[tuple[_Column, int]], room: int) -> int:
    return sum(width + _GAP for _, width in columns) - _GAP - room


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
    return plain(str(text))
