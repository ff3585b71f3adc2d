"""Tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from botrix.plain import escaped, plain


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
    return plain(str(text))
