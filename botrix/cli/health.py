"""`botrix health`: whether the worker, or the API, of this machine lives; for health checks."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

import click

from botrix.cli.render import print_json, say
from botrix.errors import BotrixError
from botrix.settings import Settings


@click.command()
@click.option("--url", help="Ask an API instead, such as http://127.0.0.1:8080/ready")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def health(url: str | None, as_json: bool) -> None:
    """Exit 0 where the worker's own heartbeat is fresh (BOTRIX_HEALTH_FILE), else 1."""
    try:
        said = _asked(url) if url else _beat(Settings.read())
    except BotrixError as error:
        raise click.ClickException(str(error)) from None
    print_json(said) if as_json else say(f"{said['status']}")


def _beat(settings: Settings) -> dict[str, Any]:
    """What the worker wrote last. Raises BotrixError where that is too long ago."""
    path, most = settings.health_file, 3 * settings.health_check_interval
    if path is None:
        raise BotrixError("BOTRIX_HEALTH_FILE is not set; give it to the worker and to this check")
    try:
        age = time.time() - path.stat().st_mtime
        said: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise BotrixError(f"no worker has written {path} yet; is one running?") from None
    if age > most:
        raise BotrixError(f"the worker's last heartbeat is {age:.0f} s old (at most {most:.0f} s)")
    return said


def _asked(url: str) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise BotrixError(f"{url!r} is no address; give one like http://127.0.0.1:8080/ready")
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  checked above
            said: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        raise BotrixError(f"{url} answers {error.code}") from None
    except (OSError, ValueError) as error:
        raise BotrixError(f"{url} does not answer ({error})") from None
    return said
