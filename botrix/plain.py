"""Text from outside (names, headers, what a directory answers) on one harmless line: no line break,
no terminal's escape, nothing that turns the direction of writing.
"""

from __future__ import annotations

import json
from collections.abc import Callable


def plain(text: str) -> str:
    """For a terminal: what cannot be printed is a dot."""
    return _replaced(text, lambda _: "·")


def escaped(text: str) -> str:
    """For a log, or JSON whose quotes and controls are escaped already: what cannot be printed, as
    JSON writes it. Of JSON it changes only the inside of strings."""
    return _replaced(text, lambda c: json.dumps(c)[1:-1])


def _replaced(text: str, by: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else by(c) for c in text)
