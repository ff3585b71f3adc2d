"""`botrix worker`, which is also `python -m workers.worker_daemon`."""

from __future__ import annotations

import sys
from typing import Any

import click

from botrix.errors import BotrixError
from botrix.settings import Settings


@click.command()
@click.option("--worker-id", help="Name of this worker; a second live one gets a suffix.")
@click.option(
    "--redis-url",
    help="The line: redis://, redis+sentinel://…/SERVICE, redis+cluster:// (rediss… by TLS), unix://.",
)
@click.option(
    "--ledger-url", help="The ledger: sqlite:///FILE or postgresql://… (?sslmode=verify-full: TLS)."
)
@click.option("--max-retries", type=click.IntRange(0, 100), help="Retries per account (3).")
@click.option("--health-check-interval", type=float, help="Seconds between heartbeats (30).")
def worker(**given: Any) -> None:
    """Run one worker until SIGTERM or Ctrl-C; a second signal hands back at once."""
    from botrix.worker.daemon import main

    try:
        settings = Settings.read(**given)
        sys.exit(main(settings))
    except BotrixError as error:
        raise click.ClickException(str(error)) from None
