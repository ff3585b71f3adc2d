"""`botrix cancel` and `botrix retry`: one job, or all that are so."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from botrix.cli import offered
from botrix.cli.client import Api
from botrix.cli.jobs import api_url, for_programs
from botrix.cli.render import print_json, say

_AT_ONCE = 100
"""So many jobs by one request, so that there is something to see."""
_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
F = TypeVar("F", bound=Callable[..., Any])


def _time(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """By this machine's clock, and of its zone where it says none."""
    if value is None:
        return None
    ago = _AGO.fullmatch(value)
    try:
        if ago:
            at = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            at = datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is no time; write 2h, 3d or 2026-11-26T08:00"
        ) from None
    return at.isoformat()


def _which(states: str) -> Callable[[F], F]:
    """The options that name jobs."""

    def decorate(command: F) -> F:
        for option in reversed(
            (
                click.argument(
                    "job_id", metavar="[JOB]", required=False, shell_complete=offered.jobs()
                ),
                click.option("--status", help=f"Only jobs in this state: {states}."),
                click.option(
                    "--directory",
                    help="Only jobs of this directory.",
                    shell_complete=offered.directories,
                ),
                click.option("--reason", help="Only jobs of which an account failed for this."),
                click.option("--since", callback=_time, help="Accepted since then: 2h, or a time."),
                click.option("--before", callback=_time, help="Accepted before then."),
                click.option("--yes", is_flag=True, help="Do not ask."),
                click.option("--dry-run", is_flag=True, help="Only say how many there are."),
                api_url,
                for_programs,
            )
        ):
            command = option(command)
        return command

    return decorate


@click.command()
@_which("pending or running")
def cancel(job_id: str | None, **asked: Any) -> None:
    """Create no more accounts of a job, or of all jobs that are so."""
    _do("cancel", "cancelled", job_id, **asked)


@click.command()
@_which("failed")
def retry(job_id: str | None, **asked: Any) -> None:
    """Try the failed accounts of a job again, or of all jobs that are so; with --reason just those
    that failed for it."""
    _do("retry", "tried again", job_id, **asked)


def _do(
    verb: str, told: str, job_id: str | None, *, url: str, as_json: bool, yes: bool, dry_run: bool,
    since: str | None, before: str | None, **which: Any,
) -> None:  # fmt: skip
    which |= {"created_after": since, "created_before": before}
    filtered = any(value is not None for value in which.values())
    if (job_id is None) != filtered:
        raise click.ClickException("give either a JOB or options that name jobs, such as --status")
    api = Api(url)
    if job_id is not None:
        job = api.post(f"/api/jobs/{job_id}/{verb}", {})
        print_json(job) if as_json else say(f"job {job_id} is {job['status']}")
        return
    found = _count(api, verb, which)
    if not dry_run and found:
        _ask(f"{verb} {_jobs(found)}", yes, as_json)
        _report(told, _all(api, verb, which, found, as_json), as_json)
    elif as_json:
        print_json({"jobs": found, "ids": []})
    else:
        say(f"{_jobs(found)} would be {told}" if found else "there is no such job")


def _count(api: Api, verb: str, which: dict[str, Any]) -> int:
    n = 0
    cursor: str | None = None
    while True:
        said = api.post(f"/api/jobs/{verb}", {**which, "dry_run": True, "cursor": cursor})
        n += int(said["jobs"])
        cursor = said["next"]
        if cursor is None:
            return n


def _ask(question: str, yes: bool, as_json: bool) -> None:
    if yes:
        return
    if as_json:
        raise click.ClickException("nobody is asked where --json is given; add --yes")
    click.confirm(f"{question}?", abort=True)


def _all(api: Api, verb: str, which: dict[str, Any], found: int, hidden: bool) -> list[str]:
    done: list[str] = []
    cursor: str | None = None
    with click.progressbar(length=found, label=verb, show_pos=True, hidden=hidden) as bar:
        try:
            while True:
                asked = {**which, "limit": _AT_ONCE, "cursor": cursor}
                said = api.post(f"/api/jobs/{verb}", asked)
                done += said["ids"]
                bar.update(said["jobs"])
                cursor = said["next"]
                if cursor is None:
                    return done
        except KeyboardInterrupt:
            raise click.ClickException(
                f"interrupted after {_jobs(len(done))}; the same command does the rest"
            ) from None


def _report(told: str, ids: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"jobs": len(ids), "ids": ids})
    else:
        say(f"{_jobs(len(ids))} {'was' if len(ids) == 1 else 'were'} {told}")


def _jobs(n: int) -> str:
    return "1 job" if n == 1 else f"{n} jobs"
