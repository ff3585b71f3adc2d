"""Clocks that are wrong, for processes that a test starts: clock.c, compiled and preloaded.

libfaketime would do, but for CPython: 0.9.10 makes time.sleep fail (EINVAL) and lets threads that
wait for the interpreter's lock spin, so that a test would see a slow machine and not a wrong clock.
"""

from __future__ import annotations

import functools
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

_SOURCE = Path(__file__).with_name("clock.c")


class Clock:
    """`environ` of a process makes its clock this one; `offset` in seconds may be set at any time,
    also while processes run. Any user may read what lies in the folder."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        library, self._file = folder / "clock.so", folder / "clock"
        _compile(library)
        self._file.touch(0o644)
        self.environ = {"LD_PRELOAD": str(library), "BOTRIX_TEST_CLOCK": str(self._file)}
        self.offset = 0

    @property
    def offset(self) -> int:
        return self._offset

    @offset.setter
    def offset(self, seconds: int) -> None:
        """In place, for the file is mapped by whoever uses the clock."""
        self._offset = seconds
        with self._file.open("r+b", buffering=0) as file:
            file.write(struct.pack("=q", seconds))


def _compile(library: Path) -> None:
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    library.chmod(0o755)


@functools.cache
def missing() -> str | None:
    """Why there can be none, or None."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        return "there is no C compiler; on Debian: apt-get install gcc libc6-dev"
    with TemporaryDirectory(prefix="bx-clock-") as name:
        try:
            _compile(Path(name) / "clock.so")
        except subprocess.CalledProcessError as error:
            return f"clock.c cannot be compiled: {error.stderr.decode()[-300:]}"
    return None
