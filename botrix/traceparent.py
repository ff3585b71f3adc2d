"""Which trace something belongs to, as a `traceparent` of W3C Trace Context says it. What comes
from outside and is none is left out: a trace that cannot be continued refuses no work.
"""

from __future__ import annotations

import re
from contextvars import ContextVar

_NONE = ("0" * 32, "0" * 16)
_SHAPE = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z", re.DOTALL)
LONGEST = 512

current: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""Of what is being done now."""


def read(text: str | None) -> str | None:
    """As this version writes it; None for what cannot be used."""
    if not text or len(text) > LONGEST:
        return None
    found = _SHAPE.match(text.strip(" \t"))
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or trace == _NONE[0] or span == _NONE[1]:
        return None
    return f"00-{trace}-{span}-{int(flags, 16) & 1:02x}"


def write(trace: int, span: int, *, sampled: bool) -> str:
    """A traceparent."""
    return f"00-{trace:032x}-{span:016x}-{sampled:02x}"


def ids(traceparent: str) -> tuple[int, int, bool]:
    """Trace, span, and whether it is sampled; of one that was read."""
    _, trace, span, flags = traceparent.split("-")
    return int(trace, 16), int(span, 16), flags == "01"


def trace_id() -> str | None:
    """Of what is being done now, as logs show it."""
    now = current.get()
    return None if now is None else now[3:35]
