"""`botrix audit`: verifies and exports the record of who did what, straight on the ledger."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from botrix.cli.render import print_json, say
from botrix.errors import BotrixError
from botrix.model import DEFAULT_TENANT
from botrix.settings import Settings

_tenant = click.option("--tenant", default=DEFAULT_TENANT, show_default=True)


@click.group()
def audit() -> None:
    """Verify or export the record of who did what."""


@audit.command("verify")
@_tenant
@click.option("--expect", metavar="N:HASH", help="An end seen before, which must still be there.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def verify(tenant: str, expect: str | None, as_json: bool) -> None:
    """Find a line that is missing or was changed; exit status 1 where there is one.

    Keep the end it prints elsewhere: who can write to the database could make a new chain, but
    not one with an end that you have seen."""
    found = _run(_verify(tenant, expect))
    if as_json:
        print_json(found)
    elif found["problem"]:
        say(f"the record of {tenant} is broken: {found['problem']}")
    else:
        click.echo(f"{found['lines']} lines, none missing or changed; it ends with {found['end']}")
    raise SystemExit(1 if found["problem"] else 0)


@audit.command("export")
@_tenant
def export(tenant: str) -> None:
    """All lines as NDJSON, oldest first."""
    _run(_export(tenant))


async def _verify(tenant: str, expect: str | None) -> dict[str, Any]:
    from botrix.ledger.audit import verify as look
    from botrix.ledger.engine import create_engine

    engine = create_engine(Settings.read().ledger_url)
    try:
        found = await look(engine, tenant, _expected(expect))
    finally:
        await engine.dispose()
    end = f"{found.n}:{found.hash}"
    return {"tenant": tenant, "lines": found.n, "end": end, "problem": found.problem}


def _expected(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    n, _, digest = text.partition(":")
    if not n.isdigit() or len(digest) != 64:
        raise BotrixError(f"--expect {text!r} is no end of a record; give N:HASH as it was printed")
    return int(n), digest


async def _export(tenant: str) -> None:
    from botrix.ledger.audit import lines
    from botrix.ledger.engine import create_engine

    engine = create_engine(Settings.read().ledger_url)
    try:
        async for row in lines(engine, tenant):
            print_json(row)
    finally:
        await engine.dispose()


def _run(work: Any) -> Any:
    try:
        return asyncio.run(work)
    except BotrixError as error:
        raise click.ClickException(str(error)) from None
