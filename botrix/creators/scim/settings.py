"""The settings of a `scim` directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botrix.creators.web.settings import WebSettings, read_web


def read(config: Mapping[str, Any]) -> WebSettings:
    """url: of the SCIM base, without `/Users`. Raises DirectoryError, saying what to correct."""
    return read_web("scim", config, "https://HOST/scim/v2")
