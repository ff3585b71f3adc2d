"""`botrix directory pause` and `resume`: straight on the ledger, as all of `botrix directory`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from botrix.cli import offered
from botrix.cli.console import console
from botrix.cli.render import print_json, say
from botrix.errors import BotrixError
from botrix.model import DEFAULT_TENANT
from botrix.settings import Settings

if TYPE_CHECKING:
    from botrix.ledger.pausing import Pausing

_tenant = click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose it is.")
_json = click.option("--json", "as_json", is_flag=True, help="For programs.")
_BETWEEN = 0.5
_QUIET = 2
"""So many looks find nothing leased, since a claim may just have begun before the pause."""


@click.command()
@click.argument("name", shell_complete=offered.directories)
@click.option("--reason", default="", help="Why, for those who wonder.")
@click.option("--drain", is_flag=True, help="Stay until workers hold no account of it any more.")
@_json
@_tenant
def pause(name: str, reason: str, drain: bool, as_json: bool, tenant: str) -> None:
    """Leave a directory alone until it is resumed; its jobs wait, and lose nothing by it."""
    _run(_pause(tenant, name, reason))
    if drain:
        _run(_drain(tenant, name, as_json))
    if as_json:
        print_json({"directory": name, "status": "paused", "drained": drain})
        return
    whose = "" if tenant == DEFAULT_TENANT else f" --tenant {tenant}"
    then = ", and no account of it is under way" if drain else ""
    say(f"{name} is paused{then}; use it again: botrix directory resume {name}{whose}")


@click.command()
@click.argument("name", shell_complete=offered.directories)
@_json
@_tenant
def resume(name: str, as_json: bool, tenant: str) -> None:
    """Use a paused directory again, whoever or whatever paused it."""
    status = _run(_resume(tenant, name))
    if as_json:
        print_json({"directory": name, "status": status})
    else:
        say(f"{name} is {status}; its jobs go on")


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return asyncio.run(work)
    except BotrixError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; the directory stays paused") from None


@asynccontextmanager
async def _pausing() -> AsyncIterator[Pausing]:
    from botrix.ledger.engine import create_engine
    from botrix.ledger.pausing import Pausing

    engine = create_engine(Settings.read().ledger_url)
    try:
        yield Pausing(engine)
    finally:
        await engine.dispose()


async def _pause(tenant: str, name: str, reason: str) -> None:
    async with _pausing() as pausing:
        await pausing.pause(tenant, name, reason, console())


async def _resume(tenant: str, name: str) -> str:
    async with _pausing() as pausing:
        return await pausing.resume(tenant, name, console())


async def _drain(tenant: str, name: str, hidden: bool) -> None:
    """Until nothing of it is leased."""
    async with _pausing() as pausing:
        first = left = await pausing.leased(tenant, name)
        looks = 0
        with click.progressbar(
            length=max(1, first), label="finishing", show_pos=True, hidden=hidden
        ) as bar:
            while looks < _QUIET:
                await asyncio.sleep(_BETWEEN)
                before, left = left, await pausing.leased(tenant, name)
                bar.update(max(0, before - left))
                looks = 0 if left else looks + 1
