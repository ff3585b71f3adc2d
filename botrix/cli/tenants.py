"""`botrix tenant`: an operator's work, straight on the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from botrix.cli.console import console
from botrix.cli.render import print_rows
from botrix.errors import BotrixError
from botrix.settings import Settings

T = TypeVar("T")
_COLUMNS = (
    "id", "open_jobs", "accounts_per_job", "accounts_per_day", "requests_per_minute",
    "password_days", "retention_days",
)  # fmt: skip
_MOST = 2**31 - 1


class _Quota(click.ParamType[int]):
    """A number, or `none`, which is given as -1: None is what an option is that was not given."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "none":
            return -1
        text = str(value)
        if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= _MOST):
            self.fail(f"{text!r} is no quota; give a number, or none", param, ctx)
        return int(text)


def _quotas(command: Callable[..., None]) -> Callable[..., None]:
    """An option for each; the first stands first in the help."""
    for name, told in reversed(_OPTIONS.items()):
        command = click.option(name, type=_Quota(), metavar="N|none", help=told)(command)
    return command


_OPTIONS = {
    "--open-jobs": "Jobs that are not over.",
    "--accounts-per-job": "Accounts of one job.",
    "--accounts-per-day": "Accounts that are asked for in a day (UTC).",
    "--requests-per-minute": "Requests to the API.",
    "--password-days": "Days that passwords are kept.",
    "--retention-days": "Days that jobs are kept after their end.",
}


@click.group()
def tenant() -> None:
    """Create, list or bound tenants."""


@tenant.command("create")
@click.argument("name")
@_quotas
def create(name: str, **given: int | None) -> None:
    """Create a tenant. Without an option it has no quota."""
    _run(lambda tenants: tenants.create(name, _given(given), console()))
    click.echo(
        f"tenant {name} was created; it needs a directory: "
        f"botrix directory add local --kind local --tenant {name}"
    )


@tenant.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(as_json: bool) -> None:
    """List the tenants and their quotas; an empty one is none."""
    print_rows(_run(lambda tenants: tenants.shown()), _COLUMNS, as_json)


@tenant.command("set")
@click.argument("name")
@_quotas
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def set_(name: str, as_json: bool, **given: int | None) -> None:
    """Change quotas of a tenant; `none` takes one away. What it has asked for already stays."""
    quotas = _given(given)
    if not quotas:
        raise click.UsageError("nothing is to be set; give a quota, such as --open-jobs 50")

    async def change(tenants: Any) -> list[dict[str, Any]]:
        await tenants.set(name, quotas, console())
        return [row for row in await tenants.shown() if row["id"] == name]

    print_rows(_run(change), _COLUMNS, as_json)


def _given(options: dict[str, int | None]) -> dict[str, int | None]:
    given = {name: value for name, value in options.items() if value is not None}
    return {name: None if value < 0 else value for name, value in given.items()}


def _run(work: Callable[[Any], Awaitable[T]]) -> T:
    try:
        return asyncio.run(_with_tenants(work))
    except BotrixError as error:
        raise click.ClickException(str(error)) from None


async def _with_tenants(work: Callable[[Any], Awaitable[T]]) -> T:
    from botrix.ledger.engine import create_engine
    from botrix.ledger.tenants import Tenants

    engine = create_engine(Settings.read().ledger_url)
    try:
        return await work(Tenants(engine))
    finally:
        await engine.dispose()
