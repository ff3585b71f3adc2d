"""`generate`, `import`, `jobs`, `accounts`: asks of the API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from botrix.cli import offered
from botrix.cli.client import URL, Api
from botrix.cli.plan import show_plan
from botrix.cli.render import print_json, print_rows, say

_DONE = ("created", "existing", "failed", "cancelled", "deleted")
_UNDO_COLUMNS = ("id", "status", "undoes", "directory", "count", "deleted", "failed", "cancelled")
_JOB_COLUMNS = ("id", "status", "waits", "priority", "directory", "count", *_DONE)

api_url = click.option(
    "--url",
    default=URL,
    envvar="BOTRIX_URL",
    show_default=True,
    help="The API.",
)
for_programs = click.option("--json", "as_json", is_flag=True, help="For programs.")
_watch = click.option("--watch", is_flag=True, help="Stay until the job is final.")
_directory = click.option(
    "--directory", help="Where to create them (local).", shell_complete=offered.directories
)
_priority = click.option("--priority", type=click.Choice(["high", "normal", "low"]))


def _run(command: Callable[..., None]) -> Callable[..., None]:
    """How a job is to be run; the first stands first in the help."""
    for option in reversed(_RUN):
        command = option(command)
    return command


_RUN = (
    click.option("--plan", is_flag=True, help="Only look what would become of each account."),
    click.option("--canary", type=int, metavar="N", help="Create N, then wait for approval."),
    click.option(
        "--max-error-rate", type=float, metavar="R", help="Approve the canary where fewer failed."
    ),
    click.option("--max-failures", type=int, metavar="N", help="Wait where more than N failed."),
    click.option(
        "--on-conflict",
        type=click.Choice(["skip", "fail"]),
        help="What another job made is existing (skip), or fails.",
    ),
    click.option("--not-before", metavar="TIME", help="When to begin, as 2026-12-24T08:00+01:00."),
)


@click.command()
@click.option("--count", type=int, required=True, help="How many accounts.")
@click.option("--template", help="User names, such as 'student{n:03}'.")
@click.option("--group", "groups", multiple=True, help="To be in; may be given many times.")
@_directory
@_priority
@_run
@_watch
@api_url
@for_programs
def generate(
    url: str, watch: bool, as_json: bool, groups: tuple[str, ...], plan: bool, **asked: Any
) -> None:
    """Ask for N accounts."""
    api = Api(url)
    if groups:  # an earlier API knows none
        asked["groups"] = groups
    if plan:
        asked["dry_run"] = True
    report(api, api.post("/api/accounts/generate", asked), watch or plan, as_json)


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--strict", is_flag=True, help="Take nothing where one row is bad.")
@click.option(
    "--template",
    help="Make usernames and more by this one; see: botrix template",
    shell_complete=offered.templates,
)
@click.option(
    "--mapping",
    help='What the columns are: moodle, canvas, google, entra, or JSON: {"Column": "email"}.',
)
@_directory
@_priority
@_run
@_watch
@api_url
@for_programs
def import_(
    file: Path, url: str, watch: bool, as_json: bool, strict: bool, plan: bool, **asked: Any
) -> None:
    """Hand in a roster (CSV or NDJSON)."""
    api = Api(url)
    query = {**asked, "strict": str(strict).lower()} | ({"dry_run": "true"} if plan else {})
    with file.open("rb") as roster, _bar("sending", file.stat().st_size, as_json) as sent:
        job = api.upload("/api/accounts/import", roster, query, sent.update)
    for row in job["rows"] if not as_json else []:
        say(f"row {row['row']} left out: {row['reason']}", err=True)
    if job.get("mapping") and not as_json:
        say(f"read as the roster of: {job['mapping']}", err=True)
    for column in job["ignored_columns"] if not as_json else []:
        say(f"column ignored: {column}", err=True)
    report(api, job, watch or plan, as_json)


@click.command()
@click.argument("job_id", required=False, shell_complete=offered.jobs())
@click.option(
    "--status", help="Only jobs in this state.", shell_complete=offered.states("JobStatus")
)
@click.option(
    "--directory", help="Only jobs of this directory.", shell_complete=offered.directories
)
@click.option(
    "--waits",
    help="Only jobs that wait for a person: plan, canary, failures, paused.",
    shell_complete=offered.states("Waits"),
)
@click.option("--limit", default=50, show_default=True)
@api_url
@for_programs
def jobs(job_id: str | None, url: str, as_json: bool, **asked: Any) -> None:
    """List jobs, newest first, or show one."""
    api = Api(url)
    if job_id is not None:
        rows = [api.get(f"/api/jobs/{job_id}")]
    else:
        rows = api.get("/api/jobs", **asked)["items"]
    print_rows(rows, _JOB_COLUMNS, as_json)


@click.command()
@click.option("--job", help="Only the accounts of this job.", shell_complete=offered.jobs())
@click.option(
    "--status", help="Only accounts in this state.", shell_complete=offered.states("AccountStatus")
)
@click.option("--prefix", help="Only those whose user name begins so, of all jobs.")
@click.option("--reason", help="Only those that failed for this reason, of a job.")
@click.option(
    "--prospect",
    type=click.Choice(["create", "adopt", "conflict"]),
    help="Only those that would come out so, of a plan.",
)
@click.option("--limit", default=50, show_default=True)
@api_url
@for_programs
def accounts(job: str | None, prefix: str | None, url: str, as_json: bool, **asked: Any) -> None:
    """List accounts; passwords are no part of them."""
    if job is not None and prefix is not None:
        raise click.UsageError("--prefix looks through all jobs; leave --job out")
    for name in ("reason", "prospect"):
        if job is None and asked[name] is not None:
            raise click.UsageError(f"--{name} is that of one job's accounts; add --job ID")
    path = f"/api/jobs/{job}/accounts" if job else "/api/accounts"
    rows = Api(url).get(path, **asked, username_prefix=prefix)["items"]
    why = "prospect" if asked["prospect"] else "reason"
    print_rows(rows, ("id", "status", "username", "email", "display_name", why), as_json)


def report(api: Api, job: dict[str, Any], watch: bool, as_json: bool) -> None:
    """Of a job that was asked for; ends with status 1 where it failed, or an apply was refused."""
    if watch:
        from botrix.cli.watching import watched

        job = watched(api, job, as_json)
    if as_json:
        print_json(job)
    elif job.get("waits") == "plan":
        show_plan(api, job)
    else:
        undoes = job.get("stage") == "remove"
        print_rows([job], _UNDO_COLUMNS if undoes else _JOB_COLUMNS, as_json=False)
    if not as_json and job.get("waits") in _GO_ON:
        say(_GO_ON[job["waits"]].format(job["id"]))
    if not as_json and job.get("source") == "import" and (job["bad_rows"] or job["failed"]):
        say(f"the rows that failed, to be mended: botrix failed-rows {job['id']} --out FILE", True)
    refused = job.get("waits") == "plan" and job["plan"]["moved"]
    if job["status"] == "failed" or refused:
        raise SystemExit(1)


_GO_ON = {
    "plan": "nothing was created yet; create it: botrix apply {0}",
    "canary": "the first accounts are done; look at them, then go on: botrix approve {0}",
    "failures": "more accounts failed than may; go on nevertheless: botrix release {0}",
    "paused": "it is paused; go on: botrix resume {0}",
}


def _bar(label: str, length: int, quiet: bool) -> Any:
    return click.progressbar(length=max(length, 1), label=label, show_pos=True, hidden=quiet)
