"""`botrix pause`, `resume`, `approve`, `release`: what people decide about one job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from botrix.cli import offered
from botrix.cli.client import Api
from botrix.cli.jobs import api_url, for_programs
from botrix.cli.render import print_json, say

F = TypeVar("F", bound=Callable[..., Any])


def _job(**where: str) -> Callable[[F], F]:
    return click.argument("job_id", metavar="JOB", shell_complete=offered.jobs(**where))


@click.command()
@_job()
@api_url
@for_programs
def pause(job_id: str, url: str, as_json: bool) -> None:
    """Let a job wait until it is resumed; accounts under way are still finished."""
    _done(job_id, "pause", f"is paused; let it go on: botrix resume {job_id}", url, as_json)


@click.command()
@_job(waits="paused")
@api_url
@for_programs
def resume(job_id: str, url: str, as_json: bool) -> None:
    """Let a paused job go on."""
    _done(job_id, "resume", "goes on", url, as_json)


@click.command()
@_job(waits="canary")
@api_url
@for_programs
def approve(job_id: str, url: str, as_json: bool) -> None:
    """Create the rest of a job that waits after its first accounts."""
    _done(job_id, "approve", "goes on with the rest of its accounts", url, as_json)


@click.command()
@_job(waits="failures")
@api_url
@for_programs
def release(job_id: str, url: str, as_json: bool) -> None:
    """Let a job go on of which too many accounts failed; as many more may fail."""
    _done(job_id, "release", "goes on", url, as_json)


def _done(job_id: str, verb: str, told: str, url: str, as_json: bool) -> None:
    job = Api(url).post(f"/api/jobs/{job_id}/{verb}", {})
    if as_json:
        print_json(job)
    else:
        say(f"job {job_id} {told}")
