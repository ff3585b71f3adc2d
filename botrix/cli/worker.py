"""`botrix worker`, which is also `python -m workers.worker_daemon`."""

from __future__ import annotations

import sys
from typing import Any

import click

from botrix.errors import BotrixError
from botrix.settings import MOST_PROCESSES, Settings, in_environ


@click.command()
@click.option("--worker-id", help="Name of this worker; a second live one gets a suffix.")
@click.option(
    "--redis-url",
    help="The line: redis://, redis+sentinel://…/SERVICE, redis+cluster:// (rediss… by TLS), unix://.",
)
@click.option(
    "--ledger-url", help="The ledger: sqlite:///FILE or postgresql://… (?sslmode=verify-full: TLS)."
)
@click.option(
    "--processes",
    type=click.IntRange(1, MOST_PROCESSES),
    help="Worker processes of this daemon, on PostgreSQL (1).",
)
@click.option("--max-retries", type=click.IntRange(0, 100), help="Retries per account (3).")
@click.option("--health-check-interval", type=float, help="Seconds between heartbeats (30).")
def worker(**given: Any) -> None:
    """Run one worker until SIGTERM or Ctrl-C; a second signal hands back at once."""
    try:
        settings = Settings.read(**given)
        sys.exit(_run(settings, given))
    except BotrixError as error:
        raise click.ClickException(str(error)) from None


def _run(settings: Settings, given: dict[str, Any]) -> int:
    if settings.processes > 1:
        from botrix.worker import crew

        return crew.main(settings, in_environ(given))
    from botrix.worker import daemon

    return daemon.main(settings)
