"""The settings that a `scim` directory has."""

from __future__ import annotations

from dataclasses import replace

from botrix.creators.declared import Setting, Type
from botrix.creators.limits import LIMITS
from botrix.creators.web.declared import (
    CLIENT,
    PASSWORD,
    TLS,
    TOKEN,
    TOKEN_WAY,
    USERNAME,
    reached,
)

SETTINGS = (
    *reached("Of the SCIM base, without /Users, like https://HOST/scim/v2."),
    replace(TOKEN, ways=(TOKEN_WAY,)),
    USERNAME,
    PASSWORD,
    *CLIENT,
    Setting(
        "bulk", "Whether Bulk is used where the server has it; false where it refuses /Bulk.",
        Type.BOOLEAN, default=True,
    ),
    *TLS,
    *LIMITS,
)  # fmt: skip
