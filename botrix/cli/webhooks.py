"""`botrix webhook`: an operator's work, straight on the ledger. Workers send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from botrix.cli import offered
from botrix.cli.console import console
from botrix.cli.render import print_json, print_rows, say
from botrix.errors import BotrixError
from botrix.model import DEFAULT_TENANT
from botrix.settings import Settings
from botrix.states import DeliveryStatus

T = TypeVar("T")
_LISTED = ("id", "url", "events", "state", "failing_since", "created_at")
_MESSAGES = ("n", "webhook_id", "event", "job_id", "status", "tries", "at", "problem")
_TIMES = ("at", "next_at", "sent_at", "created_at", "failing_since", "disabled_at")
_tenant = click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose it is.")
_for_programs = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group()
def webhook() -> None:
    """Add or see to webhooks, which are told what becomes of jobs."""


@webhook.command("add")
@click.argument("url")
@click.option("--event", "events", multiple=True, help="Only this; may be given many times.")
@click.option(
    "--network", "networks", multiple=True, metavar="CIDR",
    help="That is not public, and that it may be in.",
)  # fmt: skip
@click.option("--allow-http", is_flag=True, help="In the clear, also off this machine.")
@_tenant
@_for_programs
def add(
    url: str,
    events: tuple[str, ...],
    networks: tuple[str, ...],
    allow_http: bool,
    tenant: str,
    as_json: bool,
) -> None:
    """Tell a URL what becomes of jobs. Its secret is shown this once."""
    from botrix.webhooks.adding import Asked, make

    asked = Asked(url, events or None, networks, allow_http)

    async def work(held: Any) -> Any:
        made = make(asked, tenant, _sealer())
        await held.add(tenant, made.id, made.values, made.host, console())
        return made

    made = _run(work)
    if as_json:
        print_json({"id": made.id, "url": url, "secret": made.secret})
        return
    click.echo(f"webhook {made.id} was added; its secret, which is shown once:")
    click.echo(made.secret)
    click.echo(f"try it: botrix webhook test {made.id}", err=True)


@webhook.command("list")
@_tenant
@_for_programs
def list_(tenant: str, as_json: bool) -> None:
    """List the webhooks, never their secrets."""
    rows = [_shown(row) for row in _run(lambda held: held.shown(tenant))]
    print_rows(rows, _LISTED, as_json)


@webhook.command("remove")
@click.argument("webhook_id", metavar="ID", shell_complete=offered.webhooks)
@_tenant
@_for_programs
def remove(webhook_id: str, tenant: str, as_json: bool) -> None:
    """Tell it nothing more; its messages go with it."""
    _run(lambda held: held.remove(tenant, webhook_id, console()))
    _say(f"webhook {webhook_id} was removed", {"removed": webhook_id}, as_json)


@webhook.command("enable")
@click.argument("webhook_id", metavar="ID", shell_complete=offered.webhooks)
@_tenant
@_for_programs
def enable(webhook_id: str, tenant: str, as_json: bool) -> None:
    """Use one again that was disabled."""
    _run(lambda held: held.enable(tenant, webhook_id, console()))
    then = f"what it missed: botrix webhook replay --all {webhook_id}"
    _say(f"webhook {webhook_id} is used again; {then}", {"enabled": webhook_id}, as_json)


@webhook.command("rotate")
@click.argument("webhook_id", metavar="ID", shell_complete=offered.webhooks)
@_tenant
@_for_programs
def rotate(webhook_id: str, tenant: str, as_json: bool) -> None:
    """Make a new secret, shown this once; for a day the old one signs too."""
    from botrix.webhooks.signing import new_secret, seal

    secret = new_secret()
    sealed = seal(_sealer(), tenant, webhook_id, secret)
    _run(lambda held: held.rotate(tenant, webhook_id, sealed, console()))
    _say(secret, {"id": webhook_id, "secret": secret}, as_json)


@webhook.command("test")
@click.argument("webhook_id", metavar="ID", shell_complete=offered.webhooks)
@click.option("--within", default=30.0, show_default=True, help="Seconds to wait for a worker.")
@_tenant
@_for_programs
def test(webhook_id: str, within: float, tenant: str, as_json: bool) -> None:
    """Send it a message, and tell what came of it; exit status 1 where it was not taken."""
    from botrix.webhooks.events import TEST

    async def work(held: Any) -> Any:
        row = await held.test(tenant, webhook_id, TEST, console())
        over = time.monotonic() + within
        while row["status"] == DeliveryStatus.WAITING and time.monotonic() < over:
            await asyncio.sleep(0.2)
            row = await held.delivery(tenant, row["n"])
        return row

    row = _run(work)
    told = {
        DeliveryStatus.SENT: "it was taken",
        DeliveryStatus.DEAD: f"it was not taken: {row['problem']}",
        DeliveryStatus.WAITING: f"nobody has sent it within {within:.0f} s; does a worker run?",
    }
    _say(told[row["status"]], _shown(row), as_json)
    raise SystemExit(0 if row["status"] == DeliveryStatus.SENT else 1)


@webhook.command("deliveries")
@click.option(
    "--status", type=click.Choice([one.value for one in DeliveryStatus]), default="dead",
    show_default=True,
)  # fmt: skip
@click.option("--webhook", "webhook_id", metavar="ID", help="Only its own.")
@click.option("--limit", default=50, show_default=True)
@_tenant
@_for_programs
def deliveries(status: str, webhook_id: str | None, limit: int, tenant: str, as_json: bool) -> None:
    """List messages, newest first: those that are dead, unless told otherwise."""
    where = {"status": status} | ({"webhook_id": webhook_id} if webhook_id else {})
    rows = _run(lambda held: held.deliveries(tenant, where, None, limit))
    print_rows([_shown(row) for row in rows], _MESSAGES, as_json)


@webhook.command("replay")
@click.argument("number", type=int, required=False)
@click.option("--all", "webhook_id", metavar="ID", help="All dead ones of this webhook.")
@_tenant
@_for_programs
def replay(number: int | None, webhook_id: str | None, tenant: str, as_json: bool) -> None:
    """Send a message once more: NUMBER is its n, see: botrix webhook deliveries."""
    if (number is None) == (webhook_id is None):
        raise click.UsageError("give the number of a message, or --all and a webhook")
    if number is not None:
        _run(lambda held: held.replay(tenant, number, console()))
        count = 1
    else:
        count = _run(lambda held: held.replay_dead(tenant, webhook_id, console()))
    _say(f"{count} to be sent once more", {"replayed": count}, as_json)


def _say(text: str, value: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        say(text)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """state: of a webhook, and why."""
    told = {**row, **{name: _time(row[name]) for name in _TIMES if name in row}}
    if "disabled_reason" in row:
        reason = row["disabled_reason"]
        told["state"] = f"disabled: {reason}" if row["disabled_at"] is not None else "in use"
    return told


def _time(seconds: float | None) -> str | None:
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")


def _sealer() -> Any:
    from botrix.sealing import load_sealer

    settings = Settings.read()
    return load_sealer(settings.sealing_key_file, settings.sealing_keys)


def _run(work: Callable[[Any], Awaitable[T]]) -> T:
    async def with_webhooks() -> T:
        from botrix.ledger.engine import create_engine
        from botrix.ledger.webhooks import Webhooks

        engine = create_engine(Settings.read().ledger_url)
        try:
            return await work(Webhooks(engine))
        finally:
            await engine.dispose()

    try:
        return asyncio.run(with_webhooks())
    except BotrixError as error:
        raise click.ClickException(str(error)) from None
