"""The settings of a `scim` directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botrix.creators.declared import names
from botrix.creators.scim.declared import SETTINGS
from botrix.creators.web.settings import WebSettings, read_web
from botrix.errors import DirectoryError


def read(config: Mapping[str, Any]) -> WebSettings:
    """url: of the SCIM base, without `/Users`. Raises DirectoryError, saying what to correct."""
    read_bulk(config)
    return read_web("scim", config, "https://HOST/scim/v2", names(SETTINGS))


def read_bulk(config: Mapping[str, Any]) -> bool:
    """Whether Bulk is used where the server has it."""
    wanted = config.get("bulk", True)
    if type(wanted) is not bool:
        raise DirectoryError("`bulk` must be true or false")
    return wanted
