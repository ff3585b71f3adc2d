"""`botrix directory`: an operator's work, straight on the ledger."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click

from botrix.cli.render import print_rows
from botrix.errors import BotrixError
from botrix.model import DEFAULT_TENANT
from botrix.settings import Settings

_tenant = click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose it is.")


@click.group()
def directory() -> None:
    """Add, list or check directories."""


@directory.command("add")
@click.argument("name")
@click.option("--kind", required=True, help="local, scim or simulated.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A setting of the kind.")
@_tenant
def add(name: str, kind: str, pairs: tuple[str, ...], tenant: str) -> None:
    """Add a directory. Secrets by reference only: token_env=NAME or token_file=PATH."""
    _run(_add(tenant, name, kind, dict(_pair(pair) for pair in pairs)))
    whose = "" if tenant == DEFAULT_TENANT else f" --tenant {tenant}"
    click.echo(f"directory {name} was added; try it: botrix directory check {name}{whose}")


@directory.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_tenant
def list_(as_json: bool, tenant: str) -> None:
    """List the directories."""
    print_rows(_run(_list(tenant)), ("name", "kind", "config"), as_json)


@directory.command("check")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_tenant
def check(name: str, as_json: bool, tenant: str) -> None:
    """Look whether a directory can be used; exit status 1 where it cannot."""
    usable, notes = _run(_check(tenant, name))
    print_rows([{"directory": name, "usable": usable, "notes": "; ".join(notes)}],
               ("directory", "usable", "notes"), as_json)  # fmt: skip
    raise SystemExit(0 if usable else 1)


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.ClickException(f"{text!r} is no setting; write KEY=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _run(work: Any) -> Any:
    try:
        return asyncio.run(work)
    except BotrixError as error:
        raise click.ClickException(str(error)) from None


async def _add(tenant: str, name: str, kind: str, config: dict[str, Any]) -> None:
    from botrix.creators import KINDS, open_creator
    from botrix.errors import InvalidInput
    from botrix.ledger.engine import create_engine
    from botrix.ledger.queries import Queries

    if kind not in KINDS:
        raise InvalidInput(f"there is no kind {kind!r}; choose one of: {', '.join(KINDS)}")
    settings = Settings.read()
    if kind != "local":  # its file would be made
        await (await open_creator(kind, config, timeout=settings.request_timeout)).close()
    queries = Queries(create_engine(settings.ledger_url))
    try:
        await queries.add_directory(tenant, name, kind, json.dumps(config))
    finally:
        await queries.close()


async def _list(tenant: str) -> list[dict[str, Any]]:
    from botrix.ledger.engine import create_engine
    from botrix.ledger.queries import Queries

    queries = Queries(create_engine(Settings.read().ledger_url))
    try:
        return await queries.directories(tenant)
    finally:
        await queries.close()


async def _check(tenant: str, name: str) -> tuple[bool, tuple[str, ...]]:
    from botrix.services import Services

    async with Services(Settings.read()) as services:
        creator = await services.directories.creator(tenant, name)
        answer = await creator.check()
    return answer.usable, answer.notes
