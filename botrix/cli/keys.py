"""`botrix key`: makes, lists and revokes keys of the API, straight on the ledger."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from botrix.cli.console import console
from botrix.cli.render import print_rows
from botrix.errors import BotrixError
from botrix.model import DEFAULT_TENANT
from botrix.roles import Role
from botrix.settings import Settings

T = TypeVar("T")
_COLUMNS = ("id", "tenant_id", "name", "role", "good", "created_at", "expires_at", "last_used_at")
_TIMES = ("created_at", "expires_at", "last_used_at", "revoked_at")
_SPAN = re.compile(r"([1-9][0-9]{0,4})([dh])")
for_programs = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group()
def key() -> None:
    """Make, list or revoke keys of the API."""


@key.command("create")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--name", required=True, help="Whose it is, or what for.")
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True)
@click.option("--expires", metavar="SPAN", help="After so long, such as 90d or 12h.")
@for_programs
def create(role: str, name: str, tenant: str, expires: str | None, as_json: bool) -> None:
    """Make a key. It is shown this once; keep it in a file that only its user can read."""
    from botrix.keys import new_key

    made, days = new_key(), _days(expires)
    checked = _name(name)
    _run(lambda keys: keys.create(made, tenant, checked, Role(role), days, console()))
    if as_json:
        click.echo(json.dumps({"id": made.id, "key": made.text, "role": role, "tenant": tenant}))
    else:
        click.echo(made.text)
        click.echo("this key is shown once; from now on every request needs one", err=True)


@key.command("list")
@click.option("--tenant", help="Only of this one.")
@for_programs
def list_(tenant: str | None, as_json: bool) -> None:
    """List the keys, never their secrets."""
    rows = _run(lambda keys: keys.shown(tenant))
    print_rows([{**row, **{n: _time(row[n]) for n in _TIMES}} for row in rows], _COLUMNS, as_json)


@key.command("revoke")
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """End a key for good, in every process within five seconds. KEY_ID: its middle part."""

    _run(lambda keys: keys.revoke(None, key_id, console()))
    click.echo(f"key {key_id} was revoked")


def _name(text: str) -> str:
    if not 1 <= len(text) <= 80 or not text.isprintable():
        raise click.ClickException("--name: give 1 to 80 printable characters")
    return text


def _days(span: str | None) -> float | None:
    if span is None:
        return None
    found = _SPAN.fullmatch(span)
    if not found:
        raise click.ClickException(f"--expires {span!r} is no span of time; give one like 90d, 12h")
    return int(found[1]) / (24 if found[2] == "h" else 1)


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")


def _run(work: Callable[[Any], Awaitable[T]]) -> T:
    async def with_keys() -> T:
        from botrix.ledger.engine import create_engine
        from botrix.ledger.keys import Keys

        engine = create_engine(Settings.read().ledger_url)
        try:
            return await work(Keys(engine))
        finally:
            await engine.dispose()

    try:
        return asyncio.run(with_keys())
    except BotrixError as error:
        raise click.ClickException(str(error)) from None
