"""`apply`: create what a plan showed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from botrix.cli import offered
from botrix.cli.client import Api
from botrix.cli.jobs import api_url, for_programs, report


@click.command()
@click.argument("job", shell_complete=offered.jobs(waits="plan"))
@click.argument(
    "roster", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--watch", is_flag=True, help="Stay until the job is final.")
@api_url
@for_programs
def apply(job: str, roster: Path | None, watch: bool, url: str, as_json: bool) -> None:
    """Create what the plan JOB showed.

    The directory is looked at again before: where it has moved since, nothing is created, and the
    plan is made anew. With ROSTER it is refused, too, where that is not the file that was planned.
    """
    api = Api(url)
    asked = {"roster_sha256": None if roster is None else _digest(roster)}
    applied = api.post(f"/api/jobs/{job}/apply", asked)
    report(api, applied, watch, as_json)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
