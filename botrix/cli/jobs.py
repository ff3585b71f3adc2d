"""`generate`, `import`, `jobs`, `accounts`, `workers`: asks of the API."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from botrix.cli.client import Api
from botrix.cli.render import print_json, print_rows, say

_FINAL = ("completed", "failed", "cancelled")
_DONE = ("created", "existing", "failed", "cancelled", "deleted")
_JOB_COLUMNS = ("id", "status", "priority", "directory", "count", *_DONE[:4])

api_url = click.option(
    "--url",
    default="http://127.0.0.1:8080",
    envvar="BOTRIX_URL",
    show_default=True,
    help="The API.",
)
for_programs = click.option("--json", "as_json", is_flag=True, help="For programs.")
_watch = click.option("--watch", is_flag=True, help="Stay until the job is final.")
_directory = click.option("--directory", help="Where to create them (local).")
_priority = click.option("--priority", type=click.Choice(["high", "normal", "low"]))


@click.command()
@click.option("--count", type=int, required=True, help="How many accounts.")
@click.option("--template", help="User names, such as 'student{n:03}'.")
@click.option("--group", "groups", multiple=True, help="To be in; may be given many times.")
@_directory
@_priority
@_watch
@api_url
@for_programs
def generate(url: str, watch: bool, as_json: bool, groups: tuple[str, ...], **asked: Any) -> None:
    """Ask for N accounts."""
    api = Api(url)
    if groups:  # an earlier API knows none
        asked["groups"] = groups
    _report(api, api.post("/api/accounts/generate", asked), watch, as_json)


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--strict", is_flag=True, help="Take nothing where one row is bad.")
@_directory
@_priority
@_watch
@api_url
@for_programs
def import_(file: Path, url: str, watch: bool, as_json: bool, strict: bool, **asked: Any) -> None:
    """Hand in a roster (CSV or NDJSON)."""
    api = Api(url)
    query = {**asked, "strict": str(strict).lower()}
    with file.open("rb") as roster, _bar("sending", file.stat().st_size, as_json) as sent:
        job = api.upload("/api/accounts/import", roster, query, sent.update)
    for row in job["rows"] if not as_json else []:
        say(f"row {row['row']} left out: {row['reason']}", err=True)
    for column in job["ignored_columns"] if not as_json else []:
        say(f"column ignored: {column}", err=True)
    _report(api, job, watch, as_json)


@click.command()
@click.argument("job_id", required=False)
@click.option("--status", help="Only jobs in this state.")
@click.option("--limit", default=50, show_default=True)
@api_url
@for_programs
def jobs(job_id: str | None, status: str | None, limit: int, url: str, as_json: bool) -> None:
    """List jobs, newest first, or show one."""
    api = Api(url)
    if job_id is not None:
        rows = [api.get(f"/api/jobs/{job_id}")]
    else:
        rows = api.get("/api/jobs", status=status, limit=limit)["items"]
    print_rows(rows, _JOB_COLUMNS, as_json)


@click.command()
@click.option("--job", help="Only the accounts of this job.")
@click.option("--status", help="Only accounts in this state.")
@click.option("--limit", default=50, show_default=True)
@api_url
@for_programs
def accounts(job: str | None, status: str | None, limit: int, url: str, as_json: bool) -> None:
    """List accounts; passwords are no part of them."""
    path = f"/api/jobs/{job}/accounts" if job else "/api/accounts"
    rows = Api(url).get(path, status=status, limit=limit)["items"]
    print_rows(rows, ("id", "status", "username", "email", "display_name", "reason"), as_json)


@click.command()
@api_url
@for_programs
def workers(url: str, as_json: bool) -> None:
    """List the live workers."""
    columns = ("worker_id", "status", "current_job", "jobs_processed", "jobs_failed")
    rows = Api(url).get("/api/workers")["items"]
    print_rows(rows, (*columns, "accounts_created", "uptime_seconds"), as_json)


def _report(api: Api, job: dict[str, Any], watch: bool, as_json: bool) -> None:
    if watch:
        job = _watched(api, job, as_json)
    if as_json:
        print_json(job)
    else:
        print_rows([job], _JOB_COLUMNS, as_json=False)
    if job["status"] == "failed":
        raise SystemExit(1)


def _watched(api: Api, job: dict[str, Any], quiet: bool) -> dict[str, Any]:
    with _bar("creating", job["count"], quiet) as bar:
        shown = 0
        while True:
            done = sum(job[name] for name in _DONE)
            bar.update(done - shown)
            shown = done
            if job["status"] in _FINAL:
                return job
            time.sleep(0.2)
            job = api.get(f"/api/jobs/{job['id']}")


def _bar(label: str, length: int, quiet: bool) -> Any:
    return click.progressbar(length=max(length, 1), label=label, show_pos=True, hidden=quiet)
