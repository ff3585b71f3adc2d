"""`botrix explain`: what happened to a job or an account, in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from botrix.cli import offered
from botrix.cli.client import Api
from botrix.cli.jobs import api_url, for_programs
from botrix.cli.render import print_json, say


@click.command()
@click.argument("what", metavar="[JOB|ACCOUNT]", required=False, shell_complete=offered.jobs())
@click.option("--limit", type=click.IntRange(1), default=10_000, show_default=True)
@api_url
@for_programs
def explain(what: str | None, limit: int, url: str, as_json: bool) -> None:
    """Tell what happened to a job (the newest one), or to one account (JOB:INDEX), and why."""
    api = Api(url)
    what = what or _newest(api)
    kind = "accounts" if ":" in what else "jobs"
    rows = list(_happenings(api, f"/api/{kind}/{what}/history", limit))
    if as_json:
        print_json(rows)
        return
    for row in rows:
        say(_line(row))
    if len(rows) == limit:
        click.echo(f"these are the first {limit}; --limit shows more", err=True)


def _newest(api: Api) -> str:
    jobs = api.get("/api/jobs", limit=1)["items"]
    if not jobs:
        raise click.ClickException("there is no job yet; ask for one: botrix generate --count 1")
    return str(jobs[0]["id"])


def _happenings(api: Api, path: str, limit: int) -> Iterator[dict[str, Any]]:
    cursor = None
    while limit > 0:
        page = api.get(path, cursor=cursor, limit=min(limit, 1000))
        yield from page["items"][:limit]
        limit -= len(page["items"])
        cursor = page["next"]
        if cursor is None:
            return


def _line(row: dict[str, Any]) -> str:
    """When, what, to which account, in whose attempt, and why."""
    index = "" if row["account"] is None else f"account {row['account'].rpartition(':')[2]}"
    attempt = f"attempt {row['attempt']}" if row["attempt"] else ""
    worker = f"{row['worker']} ({row['session']})" if row["worker"] else row["session"] or ""
    why = ": ".join(part for part in (row["reason"], row["detail"]) if part)
    parts = (row["at"][:23].replace("T", " "), f"{row['what']:12}", index, attempt, worker, why)
    return "  ".join(part for part in parts if part)
