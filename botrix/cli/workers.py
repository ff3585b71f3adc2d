"""`botrix workers`: lists them, and says what is wanted of one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import click

from botrix.cli import offered
from botrix.cli.client import Api, Unheard
from botrix.cli.jobs import api_url, for_programs
from botrix.cli.render import print_json, print_rows, say

_COLUMNS = (
    "worker_id", "status", "held", "current_job", "jobs_processed", "jobs_failed",
    "accounts_created", "uptime_seconds",
)  # fmt: skip
_worker = click.argument("worker_id", metavar="ID", shell_complete=offered.workers)
_watch = click.option("--watch", is_flag=True, help="Stay until it has done so.")


@click.group(invoke_without_command=True)
@api_url
@for_programs
@click.pass_context
def workers(ctx: click.Context, url: str, as_json: bool) -> None:
    """List the live workers, or let one be quiet, drain, or work again."""
    if ctx.invoked_subcommand is None:
        print_rows(Api(url).get("/api/workers")["items"], _COLUMNS, as_json)


@workers.command("quiet")
@_worker
@_watch
@api_url
@for_programs
def quiet_(worker_id: str, watch: bool, url: str, as_json: bool) -> None:
    """Take nothing more, finish what is held, and stay."""
    _want(worker_id, "quiet", url, as_json)
    if watch:
        _until(url, worker_id, lambda row: row and row["status"] == "quiet" and not row["held"])
    if not as_json:
        told = "is quiet and holds nothing" if watch else "takes nothing more from its next beat on"
        say(f"{worker_id} {told}; let it work again: botrix workers work {worker_id}")


@workers.command()
@_worker
@_watch
@api_url
@for_programs
def drain(worker_id: str, watch: bool, url: str, as_json: bool) -> None:
    """Take nothing more, finish what is held, and end with exit status 0."""
    _want(worker_id, "drain", url, as_json)
    if watch:
        _until(url, worker_id, lambda row: row is None)
    if not as_json:
        say(f"{worker_id} {'has ended' if watch else 'ends once it holds nothing'}")


@workers.command()
@_worker
@api_url
@for_programs
def work(worker_id: str, url: str, as_json: bool) -> None:
    """Take again."""
    _want(worker_id, "work", url, as_json)
    if not as_json:
        say(f"{worker_id} takes again from its next beat on")


def _want(worker_id: str, duty: str, url: str, as_json: bool) -> None:
    said = Api(url).post(f"/api/workers/{quote(worker_id, safe='')}/{duty}", {})
    if as_json:
        print_json(said)


def _until(url: str, worker_id: str, is_so: Callable[[dict[str, Any] | None], Any]) -> None:
    """Asks twice a second, also after a lost connection. Ctrl-C leaves the order as it is."""
    api = Api(url)
    lost = False
    try:
        while True:
            try:
                rows = api.get("/api/workers")["items"]
            except Unheard:
                if not lost:
                    say("connection lost, trying again", err=True)
                lost = True
            else:
                lost = False
                if is_so(next((row for row in rows if row["worker_id"] == worker_id), None)):
                    return
            time.sleep(0.5)
    except KeyboardInterrupt:
        say("the order stands; see what became of it: botrix workers", err=True)
        raise SystemExit(130) from None
