"""The main job, for real, in about a minute: a roster and 1,000 accounts, a worker killed half way.

Counts at the end in the directory itself, not in what Botrix says; exit status 0 only where the
totals are exact.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from botrix.cli.client import Api
from botrix.creators.local import count_tags
from botrix.errors import BotrixError
from botrix.log import set_up
from botrix.settings import Settings
from botrix.supervisor import Supervisor

GENERATED = 1000
ROSTER = Path(__file__).parent / "people.csv"
_DONE = ("created", "existing", "failed", "cancelled")
_LIMIT = 300.0


@dataclass
class Shown:
    """What the table at the end is made of."""

    roster: dict[str, Any]
    generated: dict[str, Any]
    rows: list[dict[str, Any]]
    tags: dict[str, int]
    seconds: float
    killed: int


def main() -> int:
    """Exit status: 0 exact, 1 not, 130 ended by Ctrl-C."""
    with tempfile.TemporaryDirectory(prefix="botrix-demo-") as folder:
        settings = Settings.read({}, data=folder, port=_free_port(), lease=5.0, beat=1.0)
        set_up(settings, "demo", "ERROR")
        try:
            return asyncio.run(_demo(settings))
        except KeyboardInterrupt:
            return 130
        except (BotrixError, click.ClickException) as error:
            print(f"the demonstration ended: {error}", file=sys.stderr)
            return 1


async def _demo(settings: Settings) -> int:
    env = {**os.environ, "BOTRIX_LOG_LEVEL": "ERROR", "BOTRIX_LEASE": "5", "BOTRIX_BEAT": "1"}
    supervisor = Supervisor(settings, workers=1, environ=env)
    print("starting: Valkey, SQLite, API and a worker, each a process of its own", flush=True)
    try:
        await supervisor.start()
        shown = await _run(supervisor, settings)
    finally:
        await supervisor.stop()
    _print(shown)
    return 0 if _exact(shown) else 1


async def _run(supervisor: Supervisor, settings: Settings) -> Shown:
    api = Api(f"http://127.0.0.1:{settings.port}")
    began = time.monotonic()
    with ROSTER.open("rb") as file:
        imported = await asyncio.to_thread(
            api.upload, "/api/accounts/import", file, {}, lambda _: None
        )
    asked = {"count": GENERATED, "priority": "high"}
    generated = await asyncio.to_thread(api.post, "/api/accounts/generate", asked)
    jobs, killed = await _watch(supervisor, api, [imported["id"], generated["id"]])
    seconds = time.monotonic() - began
    tags = count_tags(settings.local_directory_file)
    return Shown(jobs[0], jobs[1], imported["rows"], tags, seconds, killed)


async def _watch(
    supervisor: Supervisor, api: Api, ids: list[str]
) -> tuple[list[dict[str, Any]], int]:
    """A progress bar until both jobs are final; kills the worker half way."""
    killed, deadline = 0, time.monotonic() + _LIMIT
    columns = (TextColumn("creating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console()) as progress:
        bar = progress.add_task("creating", total=None)
        while True:
            jobs = [await asyncio.to_thread(api.get, f"/api/jobs/{i}") for i in ids]
            total = sum(job["count"] for job in jobs)
            done = sum(job[name] for job in jobs for name in _DONE)
            progress.update(bar, total=total, completed=done)
            if not killed and done >= total / 2:
                killed = supervisor.processes["worker-1"].pid
                os.kill(killed, signal.SIGKILL)
                progress.print(f"half way: worker-1 (pid {killed}) was sent SIGKILL")
            if all(job["finished_at"] for job in jobs):
                return jobs, killed
            if time.monotonic() > deadline:
                raise BotrixError(f"not finished within {_LIMIT:.0f} s: {json.dumps(jobs)}")
            await asyncio.sleep(0.1)


def _exact(shown: Shown) -> bool:
    """Every row has its end, and the directory holds exactly what the jobs say: each tag once."""
    expected = shown.roster["created"] + shown.generated["created"]
    jobs = {tag.split(":")[1] for tag in shown.tags}
    return (
        shown.killed != 0
        and shown.generated["created"] == GENERATED
        and all(sum(j[n] for n in _DONE) == j["count"] for j in (shown.roster, shown.generated))
        and len(shown.tags) == expected
        and set(shown.tags.values()) == {1}
        and jobs == {shown.roster["id"], shown.generated["id"]}
    )


def _print(shown: Shown) -> None:
    console = Console()
    table = Table(title="counted in the directory itself")
    for column in ("", "requested", "created", "failed", "doubled"):
        table.add_column(column, justify="left" if not column else "right")
    given = shown.roster["count"] + len(shown.rows)
    jobs = (("roster", shown.roster, given, len(shown.rows)),
            ("generated", shown.generated, GENERATED, 0))  # fmt: skip
    for name, job, requested, bad in jobs:
        mine = [n for tag, n in shown.tags.items() if tag.split(":")[1] == job["id"]]
        doubled = sum(n - 1 for n in mine)
        failed = job["failed"] + bad
        table.add_row(name, str(requested), str(len(mine)), str(failed), str(doubled))
    console.print(table)
    for row in shown.rows:
        console.print(f"  row {row['row']}: {row['reason']}", highlight=False)
    n = len(shown.tags)
    pace = f"{shown.seconds:.1f} s, {n / shown.seconds:.0f} accounts/s (argon2id sets the pace)"
    console.print(f"{pace}; one worker killed", highlight=False)
    console.print("exact" if _exact(shown) else "NOT exact", style="bold")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
