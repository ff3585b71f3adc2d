"""Bars of what became of accounts: each outcome has a sign, a word and a colour, so that none of
them alone must be told from the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rich.text import Text


class Look(NamedTuple):
    """sign: of a block; ascii: where the terminal has none."""

    sign: str
    ascii: str
    colour: str


_GOOD, _THERE, _BAD, _LEFT_OUT = "#009e73", "#56b4e9", "#d55e00", "#999999"  # told apart by all
LOOKS = {
    "created": Look("█", "#", _GOOD),
    "to create": Look("█", "#", _GOOD),
    "existing": Look("▓", "=", _THERE),
    "deleted": Look("█", "#", _THERE),
    "failed": Look("▒", "x", _BAD),
    "conflicts": Look("▒", "x", _BAD),
    "cancelled": Look("░", "-", _LEFT_OUT),
}


def bar(parts: Mapping[str, int], total: int, width: int, blocks: bool = True) -> Text:
    """What is there at all has one cell at least, as long as there are cells."""
    text = Text(no_wrap=True)
    cells = _cells(list(parts.values()), total, width)
    for word, n in zip(parts, cells, strict=True):
        look = LOOKS[word]
        text.append((look.sign if blocks else look.ascii) * n, look.colour)
    rest = width - len(text)
    return text.append(("·" if blocks else ".") * rest, "dim")


def _cells(counts: list[int], total: int, width: int) -> list[int]:
    """The full width only where nothing is left."""
    total = max(total, sum(counts), 1)
    most = width if sum(counts) >= total else max(width - 1, 0)
    cells = [max(1, n * width // total) if n else 0 for n in counts]
    while sum(cells) > most:
        cells[cells.index(max(cells))] -= 1
    if sum(counts) >= total and any(cells):
        cells[cells.index(max(cells))] += width - sum(cells)
    return cells


def legend(parts: Mapping[str, int], total: int, blocks: bool = True) -> Text:
    """The same words at the same places, whatever the numbers."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for word, n in parts.items():
        look = LOOKS[word]
        text.append(f"{look.sign if blocks else look.ascii} ", look.colour)
        text.append(f"{word} {n:<{len(f'{total:,}')},}  ")
    text.rstrip()
    return text
