"""The terminal: what it can show, and that it is left as it was found."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from rich.console import Console


def console(err: bool = False) -> Console:
    """Of standard output or error. It heeds NO_COLOR."""
    from rich.console import Console

    return Console(stderr=err, highlight=False, markup=False, emoji=False)


def is_live(one: Console) -> bool:
    """Whether what stands there can be drawn anew."""
    return one.is_terminal and not one.is_dumb_terminal


def has_blocks(one: Console) -> bool:
    """Whether it shows more than ASCII."""
    return one.encoding.startswith("utf")


@contextmanager
def left_tidy() -> Iterator[None]:
    """SIGTERM and SIGHUP end it as Ctrl-C does, so that the cursor comes back."""
    before = {n: signal.signal(n, _ended) for n in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ended(number: int, _frame: Any) -> NoReturn:
    sys.exit(128 + number)
