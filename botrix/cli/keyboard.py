"""Single keys, as they are pressed."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager


class Keyboard:
    """Standard input, where that is a terminal."""

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Puts the terminal back as it was."""
        self._file = sys.stdin.fileno() if sys.stdin.isatty() else None
        if self._file is None:
            yield
            return
        before = termios.tcgetattr(self._file)
        try:
            tty.setcbreak(self._file)
            yield
        finally:
            termios.tcsetattr(self._file, termios.TCSADRAIN, before)

    def pressed(self, within: float) -> str:
        """What came within so many seconds."""
        files = [] if self._file is None else [self._file]
        ready, _, _ = select.select(files, [], [], within)
        if not ready:
            return ""
        return os.read(ready[0], 64).decode(errors="replace")
