"""`botrix directory`: an operator's work, straight on the ledger."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
import msgspec

from botrix.cli.console import console
from botrix.cli.render import print_json, print_rows, say
from botrix.errors import BotrixError
from botrix.model import DEFAULT_TENANT
from botrix.settings import Settings

if TYPE_CHECKING:
    from botrix.creators.creator import Check
    from botrix.ledger.governing import Use

_tenant = click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose it is.")


@click.group()
def directory() -> None:
    """Add, list or check directories, or list their kinds."""


@directory.command("add")
@click.argument("name")
@click.option("--kind", required=True, help="See: botrix directory kinds")
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
    config, policy = (dict(_pair(pair) for pair in given) for given in (pairs, rules))
    _run(_add(tenant, name, kind, {**config, **_asked_for(secrets)}, policy))
    whose = "" if tenant == DEFAULT_TENANT else f" --tenant {tenant}"
    click.echo(f"directory {name} was added; try it: botrix directory check {name}{whose}")


@directory.command("secret")
@click.argument("name")
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
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_tenant
def show(name: str, as_json: bool, tenant: str) -> None:
    """Show how much a directory is asked, whether its jobs wait, and why."""
    use = _run(_show(tenant, name))
    if as_json:
        print_json({"directory": name, **msgspec.structs.asdict(use)})
        return
    why = f": {use.reason}" if use.reason else ""
    probe = "" if use.next_probe_in is None else f"; probed in {use.next_probe_in:.0f} s"
    say(f"{name} is {use.status}{why}{probe}")
    if use.limit is not None:
        say(f"  limit    {use.limit} calls at once, of all workers ({use.limit_reason})")
    say(f"  workers  {use.workers}, which may make {use.at_once} calls at once")


@directory.command("kinds")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def kinds(as_json: bool) -> None:
    """List the kinds that there are here, and the packages that they come from."""
    from botrix.creators import brought

    rows = [asdict(one) for one in brought()]
    print_rows(rows, ("kind", "package", "problem"), as_json)


@directory.command("check")
@click.argument("name")
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


async def _add(
    tenant: str, name: str, kind: str, config: dict[str, Any], rules: dict[str, Any]
) -> None:
    from botrix.creators import check_policy, check_secrets, load, open_creator
    from botrix.ledger.engine import create_engine
    from botrix.ledger.queries import Queries
    from botrix.passwords import checked

    load(kind)
    policy = checked(rules)
    check_policy(kind, policy)
    plain, secrets = _parted(config)
    check_secrets(kind, secrets)
    settings = Settings.read()
    if kind != "local":  # its file would be made
        await (await open_creator(kind, config, timeout=settings.request_timeout)).close()
    sealed = await _sealed(settings, tenant, name, secrets) if secrets else "{}"
    queries = Queries(create_engine(settings.ledger_url))
    try:
        await queries.add_directory(
            tenant, name, kind, json.dumps(plain), console(), secrets=sealed, policy=policy.text()
        )
    finally:
        await queries.close()


def _parted(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The plain settings, and the secrets."""
    from botrix.creators.creator import Secret

    secrets = {key: value for key, value in config.items() if isinstance(value, Secret)}
    return {key: value for key, value in config.items() if key not in secrets}, secrets


async def _sealed(settings: Settings, tenant: str, name: str, secrets: dict[str, Any]) -> str:
    from botrix.services import Services, seal_secrets

    async with Services(settings) as services:
        return seal_secrets(services.sealer, tenant, name, secrets)


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
