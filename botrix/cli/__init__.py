"""The command line. Each command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from botrix import __version__
from botrix.plain import plain

_COMMANDS = {
    "up": "botrix.cli.serving",
    "api": "botrix.cli.serving",
    "migrate": "botrix.cli.serving",
    "doctor": "botrix.cli.serving",
    "worker": "botrix.cli.worker",
    "generate": "botrix.cli.jobs",
    "import": "botrix.cli.jobs",
    "apply": "botrix.cli.apply",
    "failed-rows": "botrix.cli.failed_rows",
    "jobs": "botrix.cli.jobs",
    "watch": "botrix.cli.watch",
    "pause": "botrix.cli.control",
    "resume": "botrix.cli.control",
    "approve": "botrix.cli.control",
    "release": "botrix.cli.control",
    "cancel": "botrix.cli.many",
    "retry": "botrix.cli.many",
    "accounts": "botrix.cli.jobs",
    "reveal": "botrix.cli.passwords",
    "reset": "botrix.cli.passwords",
    "export": "botrix.cli.passwords",
    "undo": "botrix.cli.undo",
    "explain": "botrix.cli.explain",
    "workers": "botrix.cli.workers",
    "top": "botrix.cli.top",
    "directory": "botrix.cli.directories",
    "template": "botrix.cli.templates",
    "reconcile": "botrix.cli.reconcile",
    "tenant": "botrix.cli.tenants",
    "health": "botrix.cli.health",
    "secrets": "botrix.cli.secrets",
    "key": "botrix.cli.keys",
    "audit": "botrix.cli.audit",
    "key-ring": "botrix.cli.key_ring",
    "purge": "botrix.cli.purge",
    "webhook": "botrix.cli.webhooks",
    "completion": "botrix.cli.completion",
}


class _Lazy(click.Group):
    """Knows its commands by name, and imports one when it is called or its help is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        name = {"import": "import_"}.get(cmd_name, cmd_name).replace("-", "_")
        command: click.Command = getattr(import_module(_COMMANDS[cmd_name]), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """An error may quote what a server or a directory said."""
        try:
            return super().invoke(ctx)
        except click.UsageError:  # quotes only who called
            raise
        except click.ClickException as error:
            raise click.ClickException(plain(error.message)) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Without importing every command for its help."""
        from click.shell_completion import CompletionItem

        named = [
            CompletionItem(name, help=told)
            for name, told in _HELP.items()
            if name.startswith(incomplete)
        ]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_HELP.items()))


_HELP = {
    "up": "Run everything on this machine: line, ledger, API and a worker.",
    "api": "Run the API.",
    "worker": "Run one worker.",
    "generate": "Ask for N accounts.",
    "import": "Hand in a roster (CSV or NDJSON).",
    "apply": "Create what a plan showed.",
    "failed-rows": "Write the rows of a roster that failed into a file, to be mended.",
    "jobs": "List jobs, or show one.",
    "watch": "Show how a job goes on, until it is final.",
    "pause": "Let a job wait.",
    "resume": "Let a paused job go on.",
    "approve": "Create the rest, after the first accounts of a job.",
    "release": "Let a job go on of which too many accounts failed.",
    "cancel": "Create no more accounts of a job, or of many jobs.",
    "retry": "Try what failed of a job, or of many jobs, again.",
    "accounts": "List accounts.",
    "reveal": "Show the password of an account, once.",
    "reset": "Set a new password for an account.",
    "export": "Write the passwords of a job into a file, once.",
    "undo": "Remove the accounts that a job created.",
    "explain": "Tell what happened to a job or an account, and why.",
    "template": "Say how accounts are made of the columns of a roster.",
    "top": "Show workers, lanes, jobs and directories live.",
    "workers": "List the live workers, or let one be quiet or drain.",
    "directory": "Add, list, check or pause directories.",
    "reconcile": "Compare the ledger with a directory, and mend what differs.",
    "tenant": "Create, list or bound tenants.",
    "migrate": "Bring the ledger to the newest schema.",
    "doctor": "Look whether everything needed is there.",
    "health": "Whether the worker here lives; for health checks.",
    "secrets": "Make the secrets of an installation.",
    "key": "Make, list or revoke keys of the API.",
    "audit": "Verify or export the record of who did what.",
    "key-ring": "List, add, rotate or prune the keys of passwords.",
    "purge": "Erase passwords, and delete jobs, that were kept long enough.",
    "webhook": "Add or see to webhooks, which are told what becomes of jobs.",
    "completion": "Print what lets bash, zsh or fish complete by Tab.",
}


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="botrix")
def main() -> None:
    """Creates accounts in bulk, durably, in directories that you administer."""


if __name__ == "__main__":
    sys.exit(main())
