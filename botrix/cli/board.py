"""One frame of `top`, as text: columns of fixed width and sections that share the height, so that
what moves is the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

from rich.cells import set_cell_size
from rich.text import Text

from botrix.cli.bars import bar
from botrix.cli.meter import clocked, per_second
from botrix.plain import plain

Row = dict[str, Any]
_SPARKS = " ▁▂▃▄▅▆▇█"
_ASCII_SPARKS = " ..::--=#"
_HEAD = 3
_GOOD, _WARNING = "#009e73", "#d55e00"


class View(NamedTuple):
    """What there is to show, and on what. rates: accounts a second, the newest last; lost: why
    nothing is heard; silence: for how many seconds."""

    snapshot: Row
    url: str
    width: int
    height: int | None
    blocks: bool = True
    rates: Sequence[float] = ()
    lost: str | None = None
    silence: float = 0.0


class Column(NamedTuple):
    """width: negative where its numbers stand to the right; 0 where it takes what is left."""

    name: str
    width: int
    cell: Callable[[Row], str | Text]


def frame(view: View) -> Text:
    """As many lines as there is height, each as wide as there is width."""
    sections = _sections(view)
    shares = _shared([len(rows) for _, _, rows in sections], view.height)
    lines = [*_head(view), Text()]
    for (title, columns, rows), share in zip(sections, shares, strict=True):
        shown = rows[:share]
        told = title if len(shown) == len(rows) else f"{title}: {len(shown)} of {len(rows)}"
        lines += [*_section(told, columns, shown, view.width), Text()]
    lines = lines[:-1] if view.height is None else lines[:-1][: view.height]
    for line in lines:
        line.truncate(view.width, overflow="crop")
    return Text("\n").join(lines)


def _head(view: View) -> list[Text]:
    now = view.snapshot
    rate = f"{per_second(now['accounts_per_second'])[:-2]} accounts/s"
    if view.lost:
        told = Text(f"connection lost, trying again ({clocked(view.silence)})", f"bold {_WARNING}")
    else:
        told = Text(f"up, {rate}", "bold")
    first = Text("botrix top  ", "bold").append(plain(view.url), "not bold")
    first.append(" " * max(view.width - first.cell_len - told.cell_len, 2)).append_text(told)
    return [first, _lanes(view), _accounts(view)]


def _lanes(view: View) -> Text:
    now = view.snapshot
    text = Text("line   ", "bold")
    if now["line_up"]:
        told = "  ".join(f"{name} {n:<6,}" for name, n in now["lanes"].items())
        text.append(told, "not bold")
    else:
        text.append("down; workers take work from the ledger", f"not bold {_WARNING}")
    text.append("   jobs  ", "bold")
    states = "  ".join(f"{s} {now['jobs'].get(s, 0):<4,}" for s in ("running", "pending"))
    return text.append(states, "not bold")


def _accounts(view: View) -> Text:
    """What became of all accounts so far, and the rate of the last minute as a line."""
    sums = view.snapshot["accounts"]
    text = Text("ended  ", "bold")
    text.append(
        "  ".join(f"{name} {sums[name]:<7,}" for name in ("created", "existing", "failed")),
        "not bold",
    )
    room = max(view.width - text.cell_len - 2, 0)
    shown, most = list(view.rates)[-room:] if room else [], max([*view.rates, 1.0])
    signs = _SPARKS if view.blocks else _ASCII_SPARKS
    line = "".join(signs[_step(rate / most, len(signs))] for rate in shown)
    return text.append("  " + line.rjust(room), f"not bold {_GOOD}")


def _step(share: float, steps: int) -> int:
    """The lowest only where there is nothing."""
    return 0 if share <= 0 else max(1, min(round(share * (steps - 1)), steps - 1))


def _sections(view: View) -> list[tuple[str, list[Column], list[Row]]]:
    now = view.snapshot
    return [
        ("WORKERS", _worker_columns(), now["workers"]),
        ("JOBS", _job_columns(view), now["open_jobs"]),
        ("DIRECTORIES", _directory_columns(), now["directories"]),
    ]


def _worker_columns() -> list[Column]:
    return [
        Column("", 0, lambda r: str(r["worker_id"])),
        Column("duty", 9, lambda r: _state(r["status"], r["status"] == "running")),
        Column("holds", -7, lambda r: f"{r['held']:,}"),
        Column("works on", 24, lambda r: str(r["current_job"] or "-")),
        Column("rate", -8, lambda r: per_second(r["recent_per_second"])),
        Column("heard", -8, lambda r: f"{r['heard_seconds_ago']:.0f} s ago"),
    ]


def _job_columns(view: View) -> list[Column]:
    wide = 12 + max((view.width - 80) // 2, 0)

    def drawn(row: Row) -> Text:
        return bar(row["parts"], row["count"], wide, view.blocks)

    return [
        Column("", 24, lambda r: str(r["id"])),
        Column("directory", 0, lambda r: str(r["directory"])),
        Column("progress", wide, drawn),
        Column("", -4, lambda r: f"{100 * r['done'] // max(r['count'], 1)} %"),
        Column("failed", -7, lambda r: f"{r['parts'].get('failed', 0):,}"),
        Column("pace", 16, _pace),
    ]


def _pace(row: Row) -> str | Text:
    if row["held"]:
        return Text("directory paused", _WARNING)
    if row["waits"]:
        return Text(f"waits: {row['waits']}", _WARNING)
    if row["status"] != "running":
        return str(row["status"])
    return f"{per_second(row['accounts_per_second']):>7} {clocked(row['seconds_left']):>8}"


def _directory_columns() -> list[Column]:
    return [
        Column("", 24, lambda r: str(r["name"])),
        Column("state", 9, lambda r: _state(r["status"], r["status"] == "working")),
        Column("limit", -6, lambda r: "-" if r["limit"] is None else f"{r['limit']:,}"),
        Column("why", 0, lambda r: str(r["reason"] or r["limit_reason"])),
    ]


def _state(word: str, good: bool) -> Text:
    return Text(word, _GOOD if good else _WARNING)


def _section(title: str, columns: list[Column], rows: Sequence[Row], width: int) -> list[Text]:
    wide = _widths(columns, width)
    named = [title, *(column.name for column in columns[1:])]
    head = _line(wide, [Text(name, "bold") for name in named])
    lines = [_line(wide, [column.cell(row) for column in columns]) for row in rows]
    return [head, *(lines or [Text("none", "dim")])]


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    fixed = sum(abs(column.width) for column in columns) + len(columns) - 1
    free = max(width - fixed, 12)
    return [column.width or free for column in columns]


def _line(widths: Sequence[int], cells: Sequence[str | Text]) -> Text:
    fitted = (_fitted(cell, width) for cell, width in zip(cells, widths, strict=True))
    return Text(" ").join(fitted)


def _fitted(cell: str | Text, width: int) -> Text:
    """Exactly so wide; what is cut ends with a mark."""
    text = Text(plain(cell)) if isinstance(cell, str) else cell.copy()
    size = abs(width)
    if text.cell_len > size:
        text.plain = set_cell_size(text.plain, size - 1) + "…"
    space = " " * (size - text.cell_len)
    return Text(space).append_text(text) if width < 0 else text.append(space)


def _shared(counts: Sequence[int], height: int | None) -> list[int]:
    """How many lines each section has below its own head: what it needs, or a fair share."""
    needed = [max(n, 1) for n in counts]
    if height is None:
        return needed
    left = max(height - _HEAD - 1 - 2 * len(counts) + 1, len(counts))
    shares = [0] * len(counts)
    for i in chain.from_iterable([range(len(counts))] * left):
        if not left or all(s >= n for s, n in zip(shares, needed, strict=True)):
            break
        if shares[i] < needed[i]:
            shares[i], left = shares[i] + 1, left - 1
    return shares
