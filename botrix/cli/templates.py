"""`botrix template`: how accounts are made of the columns of a roster; asks of the API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from botrix.cli import offered
from botrix.cli.client import Api
from botrix.cli.jobs import api_url, for_programs
from botrix.cli.render import print_json, print_rows, say

_FIRST = 64 * 1024
_COLUMNS = ("row", "username", "email", "display_name", "groups")
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def template() -> None:
    """Say how accounts are made of the columns of a roster."""


@template.command("set")
@click.argument("name", shell_complete=offered.templates)
@click.argument("file", type=_file)
@api_url
@for_programs
def set_(name: str, file: Path, url: str, as_json: bool) -> None:
    """Keep the template of FILE (JSON) under NAME, in place of an earlier one."""
    made = Api(url).put(f"/api/templates/{name}", _json(file))
    if as_json:
        print_json(made)
    else:
        say(f"template {name} is kept; try it: botrix template preview {name} ROSTER")


@template.command("list")
@api_url
@for_programs
def list_(url: str, as_json: bool) -> None:
    """List the templates."""
    rows = Api(url).get("/api/templates")["items"]
    print_rows([{**row, **row["body"]} for row in rows], ("name", "username", "email"), as_json)


@template.command("show")
@click.argument("name", shell_complete=offered.templates)
@api_url
@for_programs
def show(name: str, url: str, as_json: bool) -> None:
    """Show a template as it is kept, to be changed and set again."""
    kept = Api(url).get(f"/api/templates/{name}")
    if as_json:
        print_json(kept)
    else:
        click.echo(json.dumps(kept["body"], ensure_ascii=True, indent=2))


@template.command("remove")
@click.argument("name", shell_complete=offered.templates)
@api_url
def remove(name: str, url: str) -> None:
    """Remove a template; what was made by it stays."""
    Api(url).delete(f"/api/templates/{name}")
    say(f"template {name} was removed")


@template.command("preview")
@click.argument("name", shell_complete=offered.templates)
@click.argument("roster", type=_file)
@click.option("--mapping", help="What the columns are; see: botrix import --help")
@api_url
@for_programs
def preview(name: str, roster: Path, mapping: str | None, url: str, as_json: bool) -> None:
    """Show what would become of the first rows of ROSTER. NAME: of a template, or its file."""
    kind = "application/x-ndjson" if roster.suffix in (".ndjson", ".jsonl") else "text/csv"
    asked = {"template": _named(name), "mapping": mapping, "content_type": kind}
    seen = Api(url).post("/api/templates/preview", {**asked, "content": _first_rows(roster)})
    if as_json:
        print_json(seen)
        return
    if seen["mapping"]:
        say(f"read as the roster of: {seen['mapping']}", err=True)
    for column in seen["ignored_columns"]:
        say(f"column ignored: {column}", err=True)
    rows = [{**row, "groups": ";".join(row.get("groups", ()))} for row in seen["rows"]]
    print_rows([row for row in rows if "reason" not in row], _COLUMNS, as_json=False)
    for row in rows:
        if "reason" in row:
            say(f"row {row['row']} left out: {row['reason']}", err=True)


def _named(name: str) -> Any:
    """A name; or, where it is that of a file, the template in it."""
    return _json(Path(name)) if name.endswith(".json") else name


def _json(file: Path) -> dict[str, Any]:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{file} cannot be read as JSON: {error}") from None
    if not isinstance(said, dict):
        raise click.ClickException(f'{file} holds no template; write one like {{"username": "…"}}')
    return said


def _first_rows(roster: Path) -> str:
    """Whole lines, as many as are looked at."""
    with roster.open("rb") as file:
        head = file.read(_FIRST)
        more = bool(file.read(1))
    if more and b"\n" in head:
        head = head[: head.rindex(b"\n") + 1]
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.ClickException(f"{roster} is not UTF-8; save it as 'CSV UTF-8'") from None
