"""What a shell offers for a word that is being typed. The API is asked, for a moment; where it does
not answer, nothing is offered, and nothing said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from threading import Thread
from typing import TYPE_CHECKING, Any

import click

from botrix.cli.client import URL, Api

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_WITHIN = 0.3
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}")
"""A shell would read other signs as its own, or as the end of the word."""
_RECENT = 50
Offer = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def jobs(**where: str) -> Offer:
    """Ids of the newest jobs that are so."""

    def offer(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
        rows = _asked(ctx, "/api/jobs", limit=_RECENT, **where)
        return _items(((row["id"], _told(row)) for row in rows), begun)

    return offer


def named(path: str, field: str = "name") -> Offer:
    """The names of what the API lists there."""

    def offer(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
        return _items(((row[field], "") for row in _asked(ctx, path)), begun)

    return offer


def states(names: str) -> Offer:
    """The values of an enumeration of `botrix.states`."""

    def offer(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
        from botrix import states as known

        values: type[StrEnum] = getattr(known, names)
        return _items(((value.value, "") for value in values), begun)

    return offer


def kinds(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Of directories."""
    from botrix.creators import brought

    return _items(((one.kind, one.package) for one in brought()), begun)


directories = named("/api/directories")
workers = named("/api/workers", "worker_id")
templates = named("/api/templates")
webhooks = named("/api/webhooks", "id")


def _told(job: dict[str, Any]) -> str:
    return f"{job['waits'] or job['status']}, {job['count']} in {job['directory']}"


def _items(found: Iterable[tuple[Any, str]], begun: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from botrix.plain import plain

    return [
        CompletionItem(word, help=plain(told) or None)
        for word, told in ((str(word), told) for word, told in found)
        if word.startswith(begun) and _WORD.fullmatch(word)
    ]


def _asked(ctx: click.Context, path: str, **query: Any) -> list[dict[str, Any]]:
    """By a thread: a name that is looked up, or an answer that drips, knows no time."""
    found: list[dict[str, Any]] = []

    def ask() -> None:
        try:
            found.extend(Api(_url(ctx), _WITHIN).get(path, **query)["items"])
        except Exception:
            return

    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_WITHIN)
    return [] if asking.is_alive() else found


def _url(ctx: click.Context) -> str:
    """As the command has it, or would."""
    return str(ctx.params.get("url") or _option.resolve_envvar_value(ctx) or URL)


_option = click.Option(["--url"], envvar="BOTRIX_URL")
