"""The settings of a `scim` directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botrix.creators.web.settings import TOKEN, URL, WebSettings, check_known, read_secret, read_url

_KNOWN = URL | TOKEN


def read(config: Mapping[str, Any]) -> WebSettings:
    """url: of the SCIM base, without `/Users`. Raises DirectoryError, saying what to correct."""
    check_known("scim", config, _KNOWN)
    url, target = read_url(config, "https://HOST/scim/v2")
    return WebSettings(url, target, f"Bearer {read_secret(config, 'token')}")
