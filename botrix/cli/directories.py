"""`botrix directory`: an operator's work, straight on the ledger."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
import msgspec

from botrix.cli import offered
from botrix.cli.console import console
from botrix.cli.pausing import pause, resume
from botrix.cli.render import print_json, print_rows, say
from botrix.errors import BotrixError
from botrix.model import DEFAULT_TENANT
from botrix.settings import Settings

if TYPE_CHECKING:
    from botrix.creators.creator import Check
    from botrix.entering import Asked
    from botrix.ledger.governing import Use
    from botrix.sealing import Sealer

_tenant = click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose it is.")


@click.group()
def directory() -> None:
    """Add, list, check or pause directories, or list their kinds."""


directory.add_command(pause)
directory.add_command(resume)


@directory.command("add")
@click.argument("name")
@click.option(
    "--kind", required=True, help="See: botrix directory kinds", shell_complete=offered.kinds
)
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A setting of the kind.")
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME",
    help="A setting to be asked for (or a line of standard input) and kept sealed: token.",
)  # fmt: skip
@click.option(
    "--policy", "rules", multiple=True, metavar="KEY=VALUE",
    help="Of its passwords: length, upper, lower, digit, sign, signs, must_change.",
)  # fmt: skip
@_tenant
def add(
    name: str,
    kind: str,
    pairs: tuple[str, ...],
    secrets: tuple[str, ...],
    rules: tuple[str, ...],
    tenant: str,
) -> None:
    """Add a directory. Secrets by reference (token_env=NAME, token_file=PATH) or sealed."""
    from botrix import entering

    config, policy = (dict(_pair(pair) for pair in given) for given in (pairs, rules))
    asked = entering.Asked(kind, config, _asked_for(secrets), policy)
    _run(_add(tenant, name, asked))
    whose = "" if tenant == DEFAULT_TENANT else f" --tenant {tenant}"
    click.echo(f"directory {name} was added; try it: botrix directory check {name}{whose}")


@directory.command("secret")
@click.argument("name", shell_complete=offered.directories)
@click.argument("setting")
@_tenant
def secret(name: str, setting: str, tenant: str) -> None:
    """Seal another value of a secret: asked for, or the line of standard input."""
    _run(_reseal(tenant, name, _asked_for((setting,))))
    click.echo(f"{setting} of {name} was sealed; restart workers one after another to use it")


@directory.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_tenant
def list_(as_json: bool, tenant: str) -> None:
    """List the directories."""
    rows = _run(_list(tenant))
    if not as_json:
        rows = [{**row, "secrets": ", ".join(row["secrets"])} for row in rows]
    print_rows(rows, ("name", "kind", "config", "secrets", "policy"), as_json)


@directory.command("show")
@click.argument("name", shell_complete=offered.directories)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_tenant
def show(name: str, as_json: bool, tenant: str) -> None:
    """Show how much a directory is asked, whether its jobs wait, and why."""
    use = _run(_show(tenant, name))
    if as_json:
        print_json({"directory": name, **msgspec.structs.asdict(use)})
        return
    by = f" by {use.by}" if use.by else ""
    why = f"{by}: {use.reason}" if use.reason else by
    probe = "" if use.next_probe_in is None else f"; probed in {use.next_probe_in:.0f} s"
    say(f"{name} is {use.status}{why}{probe}")
    if use.limit is not None:
        say(f"  limit    {use.limit} calls at once, of all workers ({use.limit_reason})")
    say(f"  workers  {use.workers}, which may make {use.at_once} calls at once")


@directory.command("kinds")
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def kinds(kind: str | None, as_json: bool) -> None:
    """List the kinds that there are here with their packages, or the settings of KIND."""
    from botrix.creators import brought

    if kind is not None:
        print_rows(_settings(kind), ("name", "type", "required", "default", "help"), as_json)
        return
    rows = [asdict(one) for one in brought()]
    print_rows(rows, ("kind", "package", "problem"), as_json)


def _settings(kind: str) -> list[dict[str, Any]]:
    from botrix.creators import settings_of

    try:
        settings = settings_of(kind)
    except BotrixError as error:
        raise click.ClickException(str(error)) from None
    if settings is None:
        raise click.ClickException(f"the kind {kind} does not tell its settings; see its own page")
    return [{**asdict(one), "place": one.place} for one in settings]


@directory.command("check")
@click.argument("name", shell_complete=offered.directories)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_tenant
def check(name: str, as_json: bool, tenant: str) -> None:
    """Look whether a directory can be used; exit status 1 where it cannot."""
    found = _run(_check(tenant, name))
    if as_json:
        print_json({"directory": name, **asdict(found)})
    else:
        _print_check(name, found)
    raise SystemExit(0 if found.usable else 1)


def _print_check(name: str, found: Check) -> None:
    say(f"{name} can be used" if found.usable else f"{name} cannot be used: {found.problem}")
    for line in found.can:
        say(f"  can     {line}")
    for deviation in found.deviations:
        say(f"  wrong   {deviation.what}")
        say(f"    so    {deviation.so}")


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.ClickException(f"{text!r} is no setting; write KEY=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _asked_for(names: tuple[str, ...]) -> dict[str, Any]:
    """What they hold never stands in a command, which every user of the machine may see."""
    from botrix.creators.creator import Secret

    if not all(name.isidentifier() for name in names):
        raise click.ClickException("give the name of a secret alone; what it holds is asked for")
    return {name: Secret(_typed(name)) for name in names}


def _typed(name: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(name, hide_input=True))
    value = sys.stdin.readline().strip()
    if not value:
        raise click.ClickException(f"no {name} came; type it, or send a line to standard input")
    return value


def _run(work: Any) -> Any:
    try:
        return asyncio.run(work)
    except BotrixError as error:
        raise click.ClickException(str(error)) from None


async def _add(tenant: str, name: str, asked: Asked) -> None:
    from botrix.entering import Entering
    from botrix.ledger.engine import create_engine
    from botrix.ledger.queries import Queries
    from botrix.sealing import load_sealer

    settings = Settings.read()
    queries = Queries(create_engine(settings.ledger_url))

    def sealer() -> Sealer:
        return load_sealer(settings.sealing_key_file, settings.sealing_keys)

    try:
        entering = Entering(queries, sealer, settings.request_timeout)
        await entering.add(tenant, name, asked, console())
    finally:
        await queries.close()


async def _reseal(tenant: str, name: str, secrets: dict[str, Any]) -> None:
    from botrix.creators import open_creator
    from botrix.errors import NotFound
    from botrix.ledger.engine import create_engine
    from botrix.ledger.queries import Queries
    from botrix.services import Services, seal_secrets

    settings = Settings.read()
    queries = Queries(create_engine(settings.ledger_url))
    try:
        async with Services(settings) as services:
            row = await services.ledger.directory(tenant, name)
            if row is None:
                raise NotFound(f"there is no directory {name!r}; see: botrix directory list")
            config = {**json.loads(row.config), **secrets}
            await (await open_creator(row.kind, config)).close()
            sealed = json.loads(seal_secrets(services.sealer, tenant, name, secrets))
        merged = json.dumps({**json.loads(row.secrets), **sealed})
        await queries.set_secrets(tenant, name, row.secrets, merged, console())
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


async def _show(tenant: str, name: str) -> Use:
    from botrix.errors import NotFound
    from botrix.ledger.governing import used
    from botrix.services import open_ledger

    ledger = open_ledger(Settings.read().ledger_url)
    try:
        if await ledger.directory(tenant, name) is None:
            raise NotFound(f"there is no directory {name!r}; see: botrix directory list")
        return used(await ledger.standing(tenant, name))
    finally:
        await ledger.close()


async def _check(tenant: str, name: str) -> Check:
    from botrix.services import Services

    async with Services(Settings.read()) as services:
        creator = await services.directories.creator(tenant, name)
        return await creator.check()
