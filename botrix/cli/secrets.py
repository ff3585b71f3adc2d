"""`botrix secrets`: makes, once, all that the services of an installation must share in secret."""

from __future__ import annotations

import os
import secrets as random
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import click

from botrix import key_ring
from botrix.line.users import acl


@click.command()
@click.option(
    "--folder", required=True, type=click.Path(file_okay=False, path_type=Path),
    help="Where to; one folder a reader: app, door, ledger, line, tools.",
)  # fmt: skip
@click.option("--ledger", default="ledger:5432/botrix", show_default=True, help="HOST:PORT/NAME")
@click.option("--line", default="line:6379", show_default=True, help="HOST:PORT")
def secrets(folder: Path, ledger: str, line: str) -> None:
    """Make the secrets of an installation, each in a file; what is there already is left alone."""
    try:
        made = _Files(folder, ledger, line).make()
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or folder}: {error.strerror}; give another --folder"
        ) from None
    for path in made:
        click.echo(f"made {path}")
    click.echo(f"the API key is in {folder / 'door' / 'api_key'}; send it as Authorization: Bearer")


class _Files:
    """Each secret is drawn in one place; the others that hold it are made from that."""

    def __init__(self, folder: Path, ledger: str, line: str) -> None:
        self._folder = folder
        self._ledger = ledger
        self._line = line
        self._made: list[Path] = []

    def make(self) -> list[Path]:
        password = self._once("ledger/password", _secret)
        self._once("app/ledger_url", lambda: f"postgresql://botrix:{password}@{self._ledger}")
        line_url = self._once("app/redis_url", lambda: f"redis://botrix:{_secret()}@{self._line}/0")
        others = {name: self._once(f"line/{name}", _secret) for name in ("viewer", "scaler")}
        worker = urlsplit(line_url).password or ""
        self._once("line/users.acl", lambda: acl(botrix=worker, **others))
        self._once("tools/pgadmin", _secret)
        self._once("door/api_key", lambda: f"btx_{random.token_hex(8)}_{_secret()}")
        self._key("app/sealing.key")
        return self._made

    def _once(self, name: str, value: Callable[[], str]) -> str:
        return self._file(name, lambda: value().encode() + b"\n").decode().strip()

    def _key(self, name: str) -> None:
        self._file(name, key_ring.Ring((key_ring.Key(key_ring.fresh()),)).content)

    def _file(self, name: str, content: Callable[[], bytes]) -> bytes:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        if not path.exists():
            _write(path, content())
            self._made.append(path)
        return path.read_bytes()


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing, also where the power fails. Readable by all who see the folder: which
    service that is, is settled by who has its volume."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o444), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


def _secret() -> str:
    return random.token_urlsafe(32)
