"""`botrix completion`: what lets a shell complete commands, options, names and ids."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what SHELL is to read, so that Tab completes.

    \b
    bash: echo 'eval "$(botrix completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(botrix completion zsh)"' >> ~/.zshrc   (after compinit)
    fish: botrix completion fish > ~/.config/fish/completions/botrix.fish
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    root = click.get_current_context().find_root()
    click.echo(made(root.command, {}, "botrix", "_BOTRIX_COMPLETE").source())
