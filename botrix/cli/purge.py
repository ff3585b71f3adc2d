"""`botrix purge`: erases and purges now what workers would soon; straight on the ledger."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import click

from botrix.errors import BotrixError, LedgerDown
from botrix.settings import Settings


@click.command()
@click.option("--tenant", default="", help="Only what is this tenant's.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def purge(tenant: str, dry_run: bool, as_json: bool) -> None:
    """Erase the passwords, and delete the jobs, that were kept for as long as was set."""
    try:
        settings = Settings.read()
        done = asyncio.run(_purge(settings, tenant, dry_run, as_json))
    except BotrixError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; run it again, it goes on") from None
    click.echo(json.dumps(done) if as_json else _told(done, dry_run))


async def _purge(settings: Settings, tenant: str, dry_run: bool, as_json: bool) -> dict[str, int]:
    from botrix.ledger import keeping
    from botrix.ledger.keeping import Rule
    from botrix.services import open_ledger

    ledger = open_ledger(settings.ledger_url)
    rule = Rule(settings.password_days, settings.retention_days, tenant)
    try:
        found = await keeping.survey(ledger, rule)
        if dry_run:
            return found
        done: Counter[str] = Counter(dict.fromkeys(_DONE, 0))
        total = max(1, found["erase_accounts"] + found["purge_accounts"])
        with click.progressbar(length=total, label="purging", hidden=as_json) as bar:
            async for step in keeping.purge(ledger, rule):
                done["purged_jobs"] += step.done
                done["purged_accounts"] += step.accounts
                bar.update(step.accounts)
            async for step in keeping.erase(ledger, rule):
                done["erased_jobs"] += step.done
                done["erased_passwords"] += step.accounts
                bar.update(step.accounts)
        if not await keeping.scrubbed(ledger):
            raise LedgerDown(
                "erased, but readers keep the ledger's log from being truncated; run this again"
            )
        return done
    finally:
        await ledger.close()


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
