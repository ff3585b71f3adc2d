"""The settings of a `jupyterhub` directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botrix.creators.declared import names
from botrix.creators.jupyterhub.declared import SETTINGS
from botrix.creators.web.settings import WebSettings, check_known, read_web


def read(config: Mapping[str, Any]) -> WebSettings:
    """url: of the hub's REST API, which knows tokens alone. Raises DirectoryError, saying what to
    correct."""
    check_known("jupyterhub", config, names(SETTINGS))
    return read_web("jupyterhub", config, "https://HOST/hub/api")
