"""`failed-rows`: what did not become an account, as a file to be mended and imported again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from email.message import Message
from pathlib import Path

import click

from botrix.cli import offered
from botrix.cli.client import Api
from botrix.cli.files import made, write
from botrix.cli.jobs import api_url, for_programs
from botrix.cli.render import print_json, say

_NDJSON = (".ndjson", ".jsonl")
_IN_THE_CLEAR = "warning: {0} holds the roster's passwords in the clear; delete it once it was sent"


@click.command("failed-rows")
@click.argument("job", shell_complete=offered.jobs())
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new file.")
@api_url
@for_programs
def failed_rows(job: str, out: Path, url: str, as_json: bool) -> None:
    """Write the rows of JOB's roster that were left out or failed, each with its reason.

    Mend them in the file and import it: its column botrix_reason is passed over. The file is only
    its owner's (0600); none is replaced."""
    with Api(url).stream(f"/api/jobs/{job}/failed-rows") as (pieces, headers):
        rows, left = (int(headers[name]) for name in ("Botrix-Rows", "Botrix-Left"))
        if rows:
            _require_suffix(out, headers)
            _written(out, pieces)
    if as_json:
        print_json({"rows": rows, "left": left, "file": str(out) if rows else None})
    else:
        _tell(job, out, rows, left)
    if rows and headers["Botrix-Passwords"] == "yes":
        say(_IN_THE_CLEAR.format(out), err=True)


def _require_suffix(out: Path, headers: Message) -> None:
    """By which `import` will know what it is."""
    is_ndjson = headers.get_content_type() == "application/x-ndjson"
    if is_ndjson != (out.suffix in _NDJSON):
        wanted = " or ".join(_NDJSON) if is_ndjson else ".csv"
        raise click.ClickException(
            f"the roster was {'NDJSON' if is_ndjson else 'CSV'}; name a file {wanted} by --out"
        )


def _written(path: Path, pieces: Iterable[bytes]) -> None:
    """Wholly, or there is no file."""
    file = made(path, "nothing was asked for")
    try:
        for piece in pieces:
            write(file, piece)
        os.fsync(file)
    except OSError as error:
        path.unlink()
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None
    except BaseException:
        path.unlink()
        raise
    finally:
        os.close(file)


def _tell(job: str, out: Path, rows: int, left: int) -> None:
    if rows:
        say(f"{out}: {rows} rows; mend them, then: botrix import {out}")
    else:
        say(f"no row of {job} has failed; no file was made")
    if left:
        say(f"{left} accounts of {job} are not final yet; what of them fails is not among it", True)
