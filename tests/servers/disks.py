"""A small disk of its own, to be filled up: a tmpfs, which refuses what a full disk refuses.

Mounting takes root; `missing` says so. Whatever is still open on it when it is no longer needed
keeps it alive until that is closed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_PART = 64 << 10


class SmallDisk:
    """`folder` is on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """To the last byte: what it had left is taken."""
        with self._ballast.open("ab", buffering=0) as file:
            size = _PART
            while size:
                try:
                    file.write(bytes(size))
                except OSError:
                    size //= 2

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    @property
    def left(self) -> int:
        """Bytes."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[SmallDisk]:
    """Mounted on a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={mebibytes}m,mode=755"
    command = ["mount", "-t", "tmpfs", "-o", options, "botrix-small-disk", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def missing() -> str | None:
    """Why there can be none, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a small disk cannot be mounted; be root on Linux"
    with TemporaryDirectory(prefix="bx-disk-") as name:
        try:
            with small_disk(Path(name), 1):
                return None
        except (OSError, subprocess.CalledProcessError) as error:
            return f"a small disk cannot be mounted ({error})"
