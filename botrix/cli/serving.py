"""`up`, `api`, `migrate`, `doctor`: what runs on this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import click

from botrix.errors import BotrixError
from botrix.settings import Settings

_FIRST_COMMANDS = """
Botrix is up. Open it in a browser: http://127.0.0.1:{port}/

or ask it from another terminal (data in {data}):

{path}  curl -X POST http://localhost:{port}/api/accounts/generate \\
       -H "Content-Type: application/json" -d '{{"count": 1, "priority": "high"}}'
  botrix generate --count 100 --watch --url http://127.0.0.1:{port}
  botrix jobs --url http://127.0.0.1:{port}

Ctrl-C ends it.
"""


def _settings(**given: Any) -> Settings:
    try:
        return Settings.read(**given)
    except BotrixError as error:
        raise click.ClickException(str(error)) from None


@click.command()
@click.option("--data", help="Folder for ledger, line and keys.")
@click.option("--port", type=int, help="Port of the API (8080).")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
def up(data: str | None, port: int | None, workers: int) -> None:
    """Run everything on this machine until Ctrl-C."""
    settings = _settings(data=data, port=port)
    try:
        asyncio.run(_up(settings, workers))
    except BotrixError as error:
        raise click.ClickException(str(error)) from None


def first_commands(settings: Settings) -> str:
    """As they can be pasted: a shell knows nothing of a virtual environment's folder."""
    here = Path(sys.executable).parent
    known = shutil.which("botrix")
    reached = known is not None and Path(known).parent.resolve() == here.resolve()
    path = "" if reached else f'  export PATH="{here}:$PATH"\n'
    return _FIRST_COMMANDS.format(port=settings.port, data=settings.data, path=path)


async def _up(settings: Settings, workers: int) -> None:
    from botrix.log import set_up
    from botrix.supervisor import Supervisor

    set_up(settings, "up", "WARNING")
    supervisor = Supervisor(settings, workers, os.environ)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        await supervisor.start()
        click.echo(first_commands(settings))
        await stopping.wait()
        click.echo("ending: what is under way is finished first")
    finally:
        await supervisor.stop()


@click.command()
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=int, help="Port (8080).")
def api(**given: Any) -> None:
    """Run the API until Ctrl-C."""
    from botrix.api.app import serve

    try:
        serve(_settings(**given))
    except BotrixError as error:
        raise click.ClickException(str(error)) from None


@click.command()
@click.option("--ledger-url", help="sqlite:///FILE or postgresql://…")
def migrate(**given: Any) -> None:
    """Bring the ledger to the newest schema; harmless where it is there already."""
    from botrix.ledger.migrate import upgrade

    settings = _settings(**given)
    try:
        revision = upgrade(settings.ledger_url)
    except BotrixError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"the ledger is at revision {revision}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(as_json: bool) -> None:
    """Look whether everything needed is there; exit status 1 where something is not."""
    from botrix.cli.render import print_rows

    rows = asyncio.run(_examine(_settings()))
    print_rows(rows, ("part", "ok", "note"), as_json)
    raise SystemExit(0 if all(row["ok"] for row in rows) else 1)


async def _examine(settings: Settings) -> list[dict[str, Any]]:
    from botrix.services import Services

    rows: list[dict[str, Any]] = []
    async with Services(settings) as services:
        for part, ping in (("ledger", services.ledger.ping), ("line", services.line.ping)):
            try:
                await ping()
                rows.append({"part": part, "ok": True, "note": "answers"})
            except BotrixError as error:
                rows.append({"part": part, "ok": False, "note": str(error)})
    return rows
