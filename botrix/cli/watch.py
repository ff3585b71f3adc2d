"""`botrix watch`: a job that was asked for before."""

from __future__ import annotations

import click

from botrix.cli import offered
from botrix.cli.client import Api
from botrix.cli.jobs import api_url, for_programs, report


@click.command()
@click.argument("job_id", metavar="JOB", shell_complete=offered.jobs())
@api_url
@for_programs
def watch(job_id: str, url: str, as_json: bool) -> None:
    """Show how JOB goes on, until it is final or waits for a person.

    It stays where the connection is lost. Ctrl-C ends the watching, not the job."""
    api = Api(url)
    report(api, api.get(f"/api/jobs/{job_id}"), True, as_json)
