"""The settings that a `jupyterhub` directory has."""

from __future__ import annotations

from botrix.creators.limits import LIMITS
from botrix.creators.web.declared import TLS, TOKEN, reached

SETTINGS = (
    *reached("Of the hub's REST API, like https://HOST/hub/api."),
    TOKEN,
    *TLS,
    *LIMITS,
)
