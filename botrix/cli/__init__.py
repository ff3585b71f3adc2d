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
    "jobs": "botrix.cli.jobs",
    "accounts": "botrix.cli.jobs",
    "reveal": "botrix.cli.passwords",
    "reset": "botrix.cli.passwords",
    "export": "botrix.cli.passwords",
    "explain": "botrix.cli.explain",
    "workers": "botrix.cli.jobs",
    "directory": "botrix.cli.directories",
    "tenant": "botrix.cli.tenants",
    "health": "botrix.cli.health",
    "secrets": "botrix.cli.secrets",
    "key": "botrix.cli.keys",
    "audit": "botrix.cli.audit",
    "key-ring": "botrix.cli.key_ring",
    "purge": "botrix.cli.purge",
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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_HELP.items()))


_HELP = {
    "up": "Run everything on this machine: line, ledger, API and a worker.",
    "api": "Run the API.",
    "worker": "Run one worker.",
    "generate": "Ask for N accounts.",
    "import": "Hand in a roster (CSV or NDJSON).",
    "jobs": "List jobs, or show one.",
    "accounts": "List accounts.",
    "reveal": "Show the password of an account, once.",
    "reset": "Set a new password for an account.",
    "export": "Write the passwords of a job into a file, once.",
    "explain": "Tell what happened to a job or an account, and why.",
    "workers": "List the live workers.",
    "directory": "Add, list or check directories.",
    "tenant": "Create, list or bound tenants.",
    "migrate": "Bring the ledger to the newest schema.",
    "doctor": "Look whether everything needed is there.",
    "health": "Whether the worker here lives; for health checks.",
    "secrets": "Make the secrets of an installation.",
    "key": "Make, list or revoke keys of the API.",
    "audit": "Verify or export the record of who did what.",
    "key-ring": "List, add, rotate or prune the keys of passwords.",
    "purge": "Erase passwords, and delete jobs, that were kept long enough.",
}


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="botrix")
def main() -> None:
    """Creates accounts in bulk, durably, in directories that you administer."""


if __name__ == "__main__":
    sys.exit(main())
