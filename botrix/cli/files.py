"""New files that may hold passwords: only their owner's (0600), and none is replaced."""

from __future__ import annotations

import os
from pathlib import Path

import click


def made(path: Path, otherwise: str) -> int:
    """A descriptor of the new file. otherwise: what did not happen, where it cannot be made."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.ClickException(
            f"{path} cannot be made ({error.strerror}), so {otherwise}; name another file by --out"
        ) from None


def write(file: int, content: bytes) -> None:
    """All of it, in spite of short writes."""
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]
