"""Times as requests write them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _written(value: object) -> object:
    """pydantic takes a number for seconds, or for milliseconds where it is large; who sends one
    meant something else, or does not know which."""
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError("that is no time; give one like 2030-01-31T08:00:00Z")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_written)]
"""Of RFC 3339, with its offset."""
