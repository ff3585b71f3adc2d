"""Tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """One JSON document, or a table of the named columns."""
    if as_json:
        click.echo(json.dumps(list(rows), ensure_ascii=False))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), no_wrap=True)
    for row in rows:
        table.add_row(*(escape(_cell(row.get(column))) for column in columns))
    Console(width=max(Console().width, 160)).print(table, crop=False)  # an id is never cut


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
    return "".join(c if c.isprintable() else "·" for c in str(text))
