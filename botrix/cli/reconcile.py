"""`botrix reconcile`: compares the ledger with a directory, from this very process, and mends.

Exit status: 0 nothing differs, or all was mended; 1 something differs, or it could not be told; 2
wrong usage; 130 interrupted.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from botrix.cli import offered
from botrix.cli.console import console
from botrix.errors import BotrixError
from botrix.model import DEFAULT_TENANT, MAX_DELETES
from botrix.settings import Settings

if TYPE_CHECKING:
    from botrix.reconcile.mending import Wish
    from botrix.reconcile.running import Run


@click.command()
@click.argument("job", required=False, shell_complete=offered.jobs())
@click.option(
    "--directory",
    help="All jobs of it, and what it has that the ledger does not know.",
    shell_complete=offered.directories,
)
@click.option("--recreate", is_flag=True, help="Mend: make the missing ones again.")
@click.option("--forget", is_flag=True, help="Mend: note the missing ones as deleted.")
@click.option("--accept", is_flag=True, help="Mend: take what was changed into the ledger.")
@click.option("--adopt", is_flag=True, help="Mend: what failed and is there counts as created.")
@click.option("--remove-unknown", is_flag=True, help="Mend: delete what nobody wants any more.")
@click.option(
    "--also-of", multiple=True, metavar="JOB",
    help="Remove also what bears the tag of a job that no record here names.",
)  # fmt: skip
@click.option(
    "--max-deletes", type=click.IntRange(0), default=MAX_DELETES, show_default=True,
    help="How many may go at most; none goes where it would be more.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask before mending.")
@click.option(
    "--at-once", type=click.IntRange(1, 64), default=4, show_default=True,
    help="Calls of the directory at once.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="A new file (CSV) for all rows.")
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose it is.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def reconcile(
    job: str | None, directory: str | None, tenant: str, at_once: int, max_deletes: int, yes: bool,
    out: Path | None, as_json: bool, remove_unknown: bool, also_of: tuple[str, ...], **mend: bool,
) -> None:  # fmt: skip
    """Compare the ledger with the directory: of a JOB, or all of a directory.

    Without an option to mend, nothing is changed. Accounts at the directory never are, but for
    --remove-unknown, which deletes entries that bear a tag of Botrix and that no account wants."""
    from botrix.reconcile.mending import Wish
    from botrix.reconcile.running import Run

    wish = Wish(**mend, remove=remove_unknown, also_of=also_of)
    _check_usage(job, directory, wish)
    with TemporaryDirectory(prefix="botrix-") as folder:
        run = Run(tenant, job, directory, at_once, Path(folder))
        try:
            status = _ended(run, wish, max_deletes if remove_unknown else None, yes, as_json, out)
        finally:
            run.close()
    raise SystemExit(status)


def _check_usage(job: str | None, directory: str | None, wish: Wish) -> None:
    if (job is None) == (directory is None):
        raise click.UsageError("name a JOB, or a directory by --directory")
    if job is not None and (wish.adopt or wish.remove):
        raise click.UsageError(
            "what is unknown is only found in a whole directory; give --directory with --adopt "
            "and --remove-unknown"
        )
    if wish.also_of and not wish.remove:
        raise click.UsageError("--also-of goes with --remove-unknown")


def _ended(
    run: Run, wish: Wish, most: int | None, yes: bool, as_json: bool, out: Path | None
) -> int:
    """The exit status. What was found so far is shown in any case."""
    from botrix.cli.reconciled import Report

    report = Report(run, as_json, out)
    settings = Settings.read()
    try:
        with report.progress() as seen:
            asyncio.run(run.look(settings, wish.recreate, seen))
        if wish.any and _is_confirmed(run, wish, most, yes):
            asyncio.run(run.mend(settings, wish, console()))
    except BotrixError as error:
        report.show(interrupted=str(error))
        raise click.ClickException(str(error)) from None
    except (KeyboardInterrupt, click.Abort):
        report.show(interrupted="interrupted")
        click.echo("interrupted; this is what was found so far", err=True)
        return 130
    report.show()
    return 1 if run.findings.left() or not run.is_whole else 0


def _is_confirmed(run: Run, wish: Wish, most: int | None, yes: bool) -> bool:
    """Raises BotrixError where it may not be done."""
    if wish.recreate and run.tally.problem and run.tally.keeps_tags:
        raise BotrixError(
            f"whether those who are missing have another name cannot be told "
            f"({run.tally.problem}); nothing was mended, try again"
        )
    plan = wish.plan(run.findings)
    removed = plan.get("to be removed at the directory", 0)
    if most is not None and removed > most:
        raise BotrixError(
            f"{removed} entries would be removed, more than --max-deletes {most}; nothing was "
            "mended"
        )
    if not plan:
        return False
    told = ", ".join(f"{n} {what}" for what, n in plan.items())
    if yes:
        return True
    if not sys.stdin.isatty():
        raise BotrixError(f"{told}: nobody is here to confirm that; give --yes")
    if removed:
        click.echo(told, err=True)
        return click.prompt("type how many are to be removed", type=int, err=True) == removed
    return click.confirm(f"{told}: go on?", err=True)
