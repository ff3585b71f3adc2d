"""The settings of a `jupyterhub` directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botrix.creators.web.settings import TOKEN, URL, WebSettings, check_known, read_web
from botrix.creators.web.tls import TLS


def read(config: Mapping[str, Any]) -> WebSettings:
    """url: of the hub's REST API, which knows tokens alone. Raises DirectoryError, saying what to
    correct."""
    check_known("jupyterhub", config, URL | TLS | TOKEN)
    return read_web("jupyterhub", config, "https://HOST/hub/api")
