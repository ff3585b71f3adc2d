"""`botrix purge`: erases and purges now what workers would soon; straight on the ledger."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from botrix.errors import BotrixError, LedgerDown
from botrix.settings import Settings

if TYPE_CHECKING:
    from botrix.ledger.keeping import Rule
    from botrix.ledger.ledger import Ledger


@click.command()
@click.option("--tenant", default="", help="Only what is this tenant's.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--anew", is_flag=True, help="Write SQLite's file anew though it is large.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def purge(tenant: str, dry_run: bool, anew: bool, as_json: bool) -> None:
    """Erase the passwords, and delete the jobs, that were kept for as long as was set."""
    try:
        settings = Settings.read()
        if dry_run:
            done = asyncio.run(_survey(settings, tenant))
        else:
            done = asyncio.run(_purge(settings, tenant, anew, as_json))
    except BotrixError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; run it again, it goes on") from None
    click.echo(json.dumps(done) if as_json else _told(done, dry_run))


async def _survey(settings: Settings, tenant: str) -> dict[str, int]:
    from botrix.ledger import keeping

    async with _ledger(settings) as ledger:
        return await keeping.survey(ledger, _rule(settings, tenant))


async def _purge(settings: Settings, tenant: str, anew: bool, as_json: bool) -> dict[str, int]:
    from botrix.ledger import keeping

    rule, done = _rule(settings, tenant), Counter(dict.fromkeys(_DONE, 0))
    async with _ledger(settings) as ledger:
        found = await keeping.survey(ledger, rule)
        total = max(1, found["erase_accounts"] + found["purge_accounts"])
        with click.progressbar(length=total, label="purging", hidden=as_json) as bar:
            async for step in keeping.purge(ledger, rule):
                done.update(purged_jobs=step.done, purged_accounts=step.accounts)
                bar.update(step.accounts)
            async for step in keeping.erase(ledger, rule):
                done.update(erased_jobs=step.done, erased_passwords=step.accounts)
                bar.update(step.accounts)
        if not await keeping.scrubbed(ledger, sys.maxsize if anew else keeping.SMALL):
            raise LedgerDown(
                "erased, but traces are left in the ledger's files, since others were busy with "
                "them all the while; run this again"
            )
    if not anew and _size(settings) > keeping.SMALL:
        click.echo(
            "the ledger's file is large: traces may be left in gaps of its pages until it is "
            "written anew, for which writers must wait; at a quiet time: botrix purge --anew",
            err=True,
        )
    return dict(done)


@asynccontextmanager
async def _ledger(settings: Settings) -> AsyncIterator[Ledger]:
    from botrix.services import open_ledger

    ledger = open_ledger(settings.ledger_url)
    try:
        yield ledger
    finally:
        await ledger.close()


def _rule(settings: Settings, tenant: str) -> Rule:
    from botrix.ledger.keeping import Rule

    return Rule(settings.password_days, settings.retention_days, tenant)


def _size(settings: Settings) -> int:
    """Of the file of SQLite; a server has none of its own here."""
    if not settings.ledger_url.startswith("sqlite:///"):
        return 0
    return Path(settings.ledger_url.removeprefix("sqlite:///")).stat().st_size


_DONE = ("erased_jobs", "erased_passwords", "purged_jobs", "purged_accounts")


def _told(done: dict[str, int], dry_run: bool) -> str:
    if dry_run:
        return (
            f"would erase the passwords of {done['erase_jobs']} jobs ({done['erase_accounts']} "
            f"accounts), and delete {done['purge_jobs']} jobs ({done['purge_accounts']} accounts)"
        )
    return (
        f"erased {done['erased_passwords']} passwords of {done['erased_jobs']} jobs; deleted "
        f"{done['purged_jobs']} jobs with {done['purged_accounts']} accounts"
    )
