"""`botrix undo`: removes the accounts that a job created."""

from __future__ import annotations

import sys
from typing import Any

import click

from botrix.cli import offered
from botrix.cli.client import Api
from botrix.cli.jobs import api_url, for_programs, report
from botrix.cli.render import say

_PATIENCE = 600.0
_UNHEARD = "whether it began: botrix jobs"


@click.command()
@click.argument("job_id", metavar="JOB", shell_complete=offered.jobs())
@click.option("--count", type=int, help="How many accounts JOB has created; else it is asked.")
@click.option("--max-deletes", type=int, help="How many may go at most (1000).")
@click.option("--watch", is_flag=True, help="Stay until the job is final.")
@api_url
@for_programs
def undo(
    job_id: str, count: int | None, max_deletes: int | None, watch: bool, url: str, as_json: bool
) -> None:
    """Remove the accounts that JOB created, and no other: not those that existed, nor anybody
    else's.

    A directory with on_undo=disable keeps them, disabled. A job that was begun goes on by itself;
    to stop it: cancel it."""
    api = Api(url, _PATIENCE, _UNHEARD)
    if count is None:
        count = _typed(api, job_id)
    asked = {"count": count, "max_deletes": max_deletes}
    report(api, api.post(f"/api/jobs/{job_id}/undo", asked), watch, as_json)


def _typed(api: Api, job_id: str) -> int:
    """By who has been told what he is about to do."""
    if not sys.stdin.isatty():
        raise click.ClickException(f"say how many accounts {job_id} has created: --count N")
    job: dict[str, Any] = api.get(f"/api/jobs/{job_id}")
    directory = api.get(f"/api/directories/{job['directory']}")
    then = "deleted there, which cannot be taken back"
    if directory["on_undo"] == "disable":
        then = "disabled there"
    created = f"job {job_id} has created {job['created']} accounts in {job['directory']}"
    say(f"{created}; they will be {then}", err=True)
    return int(click.prompt("Type the number of accounts", type=int, err=True))
