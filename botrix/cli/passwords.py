"""`reveal`, `reset`, `export`: passwords leave Botrix once.

Exit status: 0 done; 1 not done, or not known to be done, with a line that says what to do; 2 wrong
usage.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from botrix.cli import offered
from botrix.cli.client import Api
from botrix.cli.files import made, write
from botrix.cli.jobs import api_url, for_programs
from botrix.cli.render import print_rows

_PATIENCE = 600.0
_LOST = "if the answer was lost, the password has left: botrix reset {0}"
_PART_LOST = (
    "if the answer was lost, these passwords have left: botrix reset ACCOUNT, for each that "
    "`botrix accounts --job {0} --json` tells was revealed"
)
_IN_THE_CLEAR = {
    "csv": "warning: {0} holds passwords in the clear; hand them out and delete it, or seal them "
    "from the start: --recipient age1…",
    "cards": "warning: {0} holds passwords in the clear; print it (A4 or Letter), and delete it",
}


@click.command()
@click.argument("account")
@api_url
@for_programs
def reveal(account: str, url: str, as_json: bool) -> None:
    """Show user name and password of ACCOUNT (JOB:INDEX), once.

    If the answer is lost: botrix reset ACCOUNT."""
    said = Api(url, unheard=_LOST.format(account)).post(f"/api/accounts/{account}/reveal", {})
    click.echo(json.dumps(said, ensure_ascii=False) if as_json else _shown(said))


@click.command()
@click.argument("account")
@api_url
@for_programs
def reset(account: str, url: str, as_json: bool) -> None:
    """Set a new password for ACCOUNT (JOB:INDEX) at its directory; reveal it then.

    Only for one whose password has left before, or was erased."""
    api = Api(url, _PATIENCE, "reset again in a minute")
    said = api.post(f"/api/accounts/{account}/reset", {})
    if as_json:
        print_rows([said], (), as_json)
    else:
        click.echo(f"{said['username']} has a new password; see it once: botrix reveal {account}")


@click.command()
@click.argument("job", shell_complete=offered.jobs())
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new file.")
@click.option("--format", "form", type=click.Choice(["csv", "sealed", "cards"]), help="csv.")
@click.option("--recipient", metavar="KEY", help="Seal it with age for this public key (age1…).")
@click.option("--title", metavar="LINE", help="On each card.")
@click.option("--sign-in", metavar="ADDRESS", help="On each card: where to sign in.")
@click.option("--limit", type=int, help="Accounts in one file, at most (20000).")
@api_url
def export(job: str, out: Path, form: str | None, url: str, **asked: Any) -> None:
    """Write the passwords of a final JOB that were never revealed, once.

    CSV; an age file for --recipient; or cards, a page of ten cards a sheet to be printed. What does
    not fit into one file goes into FILE-2 and so on (the number stands before the suffix). Files
    are only their owner's (0600); none is replaced."""
    api = Api(url, _PATIENCE, _PART_LOST.format(job))
    asked["format"] = form or ("sealed" if asked["recipient"] else "csv")
    number, left = 0, 1
    while left:
        number += 1
        file = _numbered(out, number)
        left = _part(api, job, asked, file)
        if asked["format"] in _IN_THE_CLEAR:
            click.echo(_IN_THE_CLEAR[asked["format"]].format(file), err=True)


def _part(api: Api, job: str, asked: dict[str, Any], path: Path) -> int:
    """Writes one file, which is made before anything leaves. How many are left."""
    file = made(path, "nothing more was exported")
    try:
        content, headers = api.download(f"/api/jobs/{job}/export", asked)
    except BaseException:
        os.close(file)
        path.unlink()
        raise
    try:
        write(file, content)
        os.fsync(file)
    except OSError as error:
        lost = _PART_LOST.format(job)
        raise click.ClickException(f"{path} cannot be written: {error.strerror}; {lost}") from None
    finally:
        os.close(file)
    left = int(headers["Botrix-Left"])
    click.echo(f"{path}: {headers['Botrix-Accounts']} passwords, {left} left")
    return left


def _numbered(out: Path, number: int) -> Path:
    """seats.csv, seats-2.csv, …; seats.csv.age, seats-2.csv.age, …"""
    if number == 1:
        return out
    kept = out.suffixes[-2:] if out.suffix == ".age" else out.suffixes[-1:]
    suffix = "".join(kept)
    return out.with_name(f"{out.name.removesuffix(suffix)}-{number}{suffix}")


def _shown(said: dict[str, str]) -> str:
    return f"{said['username']} {said['password']}"
