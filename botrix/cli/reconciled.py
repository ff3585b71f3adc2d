"""What `botrix reconcile` found, for people and programs."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import click

from botrix.cli.render import print_rows, say
from botrix.export import harmless
from botrix.plain import escaped
from botrix.reconcile.findings import What
from botrix.reconcile.running import Run

_COLUMNS = ("account", "username", "what", "reason", "detail", "entry_id", "mended")
_SHOWN = 100
_OFFERS = {
    What.MISSING: "make them again with --recreate, or note them as deleted with --forget",
    What.CHANGED: "Botrix never changes an account that exists; take what is there into the ledger "
    "with --accept",
    What.UNKNOWN: "--adopt counts what had failed as created; --remove-unknown deletes what was "
    "cancelled, deleted or purged",
    What.UNSURE: "the directory did not tell; try again later",
}


class Report:
    """Makes the file at once, so that nothing is looked at in vain."""

    def __init__(self, run: Run, as_json: bool, out: Path | None) -> None:
        self._run = run
        self._as_json = as_json
        self._path = out
        self._file = _made(out) if out else None

    @contextmanager
    def progress(self) -> Iterator[Callable[[int, int], None]]:
        """Hears how many more of how many were seen."""
        hidden = self._as_json or not sys.stderr.isatty()
        with click.progressbar(
            length=1, label="comparing", file=sys.stderr, hidden=hidden, show_pos=True
        ) as bar:

            def seen(n: int, total: int) -> None:
                bar.length = max(1, total)
                bar.update(n)

            yield seen

    def show(self, interrupted: str = "") -> None:
        self._write()
        if self._as_json:
            self._print_json(interrupted)
            return
        rows = [one.shown() for one in islice(self._run.findings.all(), _SHOWN)]
        if rows:
            print_rows(rows, _COLUMNS[:5], False)
        total = sum(self._run.findings.counts().values())
        if total > _SHOWN:
            say(f"these are the first {_SHOWN} of {total}; for all of them: --out FILE.csv")
        for line in self._told():
            say(line)

    def _told(self) -> Iterator[str]:
        tally, counts = self._run.tally, self._run.findings.counts()
        found = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
        yield f"{tally.looked} accounts compared: {found or 'nothing differs'}"
        mended = sum(counts.values()) - self._run.findings.left()
        if mended:
            yield f"  mended   {mended}"
        for what in What:
            if self._run.findings.count(what):
                yield f"  {what:8} {_OFFERS[what]}"
        if tally.others:
            yield f"  others   {tally.others} entries are of other tenants, and were left alone"
        if tally.underway:
            yield f"  open     {tally.underway} entries are of accounts that are still worked at"
        if tally.undoing:
            yield f"  undoing  {tally.undoing} jobs are being undone, and were left alone"
        if tally.problem:
            yield f"  unseen   what is unknown could not be told: {tally.problem}"

    def _print_json(self, interrupted: str) -> None:
        """One document, however long: row by row."""
        tally, counts = self._run.tally, self._run.findings.counts()
        head = {
            "directory": self._run.directory, "job": self._run.job, "compared": tally.looked,
            **{str(what): n for what, n in counts.items()}, "left": self._run.findings.left(),
            "entries": tally.entries, "others": tally.others, "open": tally.underway,
            "undoing": tally.undoing, "problem": interrupted or tally.problem,
        }  # fmt: skip
        click.echo(f'{_json(head)[:-1]}, "rows": [', nl=False)
        for n, one in enumerate(self._run.findings.all()):
            click.echo(f"{', ' if n else ''}{_json(one.shown())}", nl=False)
        click.echo("]}")

    def _write(self) -> None:
        if self._file is None:
            return
        with open(self._file, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
            writer.writerow(_COLUMNS)
            for one in self._run.findings.all():
                row = one.shown()
                writer.writerow([harmless(str(row[name])) for name in _COLUMNS])
        self._file = None
        say(f"{self._path}: all rows", err=True)


def _json(value: Any) -> str:
    return escaped(json.dumps(value, ensure_ascii=False))


def _made(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.ClickException(
            f"{path} cannot be made ({error.strerror}); name another file by --out"
        ) from None
