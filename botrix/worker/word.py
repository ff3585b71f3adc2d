"""The health file: what a worker leaves on its own machine for `botrix health`."""

from __future__ import annotations

import logging
from pathlib import Path

_log = logging.getLogger(__name__)


def leave_word(file: Path | None, text: str) -> None:
    """Whole or not at all. A disk that takes no more is not what ends a worker: the word grows old,
    and the check tells."""
    if file is None:
        return
    fresh = file.with_name(f".{file.name}")
    try:
        fresh.write_text(text)
        fresh.replace(file)
    except OSError as error:
        _log.warning("the health file %s cannot be written: %s", file, error.strerror)
