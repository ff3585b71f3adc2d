"""Control groups of the kernel, of either version, to freeze processes and to bound their memory.

A group is made beside the one that this process is in or at the top, is entered by pid, and is
removed when it is no longer needed. It takes root; `missing` tells what else may be in the way.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_TOP = Path("/sys/fs/cgroup")
_SECOND = (_TOP / "cgroup.controllers").exists()
_numbers = itertools.count(1)


class Group:
    """Of one controller: `freezer` or `memory`."""

    def __init__(self, controller: str) -> None:
        """Raises OSError where that cannot be had."""
        parent = _TOP if _SECOND else _TOP / controller
        self._parent = parent
        self.path = parent / f"botrix-faults-{os.getpid()}-{next(_numbers)}"
        self.path.mkdir()

    def enter(self, pids: Iterable[int]) -> None:
        for pid in pids:
            (self.path / "cgroup.procs").write_text(str(pid))

    def freeze(self, *, frozen: bool) -> None:
        if _SECOND:
            (self.path / "cgroup.freeze").write_text("1" if frozen else "0")
        else:
            (self.path / "freezer.state").write_text("FROZEN" if frozen else "THAWED")

    def is_frozen(self) -> bool:
        if _SECOND:
            return "frozen 1" in (self.path / "cgroup.events").read_text()
        return (self.path / "freezer.state").read_text().strip() == "FROZEN"

    def bound_memory(self, size: int) -> None:
        """Bytes; swap counts as well, where it is counted at all."""
        first, second = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        if _SECOND:
            first, second = "memory.max", "memory.swap.max"
        (self.path / first).write_text(str(size))
        with contextlib.suppress(OSError):
            (self.path / second).write_text("0" if _SECOND else str(size))

    def killed_for_memory(self) -> int:
        """How many processes the kernel has ended here."""
        text = (self.path / ("memory.events" if _SECOND else "memory.oom_control")).read_text()
        return int(dict(line.split() for line in text.splitlines()).get("oom_kill", "0"))

    def remove(self) -> None:
        """Who is still in it goes to the top."""
        for pid in (self.path / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (self._parent / "cgroup.procs").write_text(pid)
        with contextlib.suppress(OSError):  # a process that ends just now may hold it a while
            self.path.rmdir()


@contextmanager
def group(controller: str) -> Iterator[Group]:
    made = Group(controller)
    try:
        yield made
    finally:
        made.remove()


def missing(controller: str) -> str | None:
    """Why there can be no group of it, or None."""
    wanted = {"freezer": "cgroup.freeze" if _SECOND else "freezer.state",
              "memory": "memory.max" if _SECOND else "memory.limit_in_bytes"}  # fmt: skip
    try:
        with group(controller) as made:
            if (made.path / wanted[controller]).exists():
                return None
    except OSError as error:
        return f"no {controller} control group can be made ({error}); be root"
    return f"control groups here have no {controller} controller"
