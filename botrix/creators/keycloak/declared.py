"""The settings that a `keycloak` directory has."""

from __future__ import annotations

from dataclasses import replace

from botrix.creators.declared import Setting
from botrix.creators.limits import LIMITS
from botrix.creators.web.declared import (
    PASSWORD,
    TLS,
    TOKEN,
    TOKEN_WAY,
    USER_WAY,
    USERNAME,
    reached,
)

SERVICE_WAY = "service account"
TAG, ADMIN_CLIENT = "botrix_tag", "admin-cli"
SETTINGS = (
    *reached("Of the server, before /admin, like https://HOST."),
    Setting("realm", "Into which accounts go.", required=True),
    Setting(
        "client_id", f"Of the service account; with a user and password, {ADMIN_CLIENT} else.",
        ways=(SERVICE_WAY, USER_WAY),
    ),
    Setting(
        "client_secret", "Of that client; with a user and password, only where it has one.",
        secret=True, ways=(SERVICE_WAY, USER_WAY),
    ),
    USERNAME,
    PASSWORD,
    replace(TOKEN, ways=(TOKEN_WAY,)),
    Setting(
        "auth_realm", "Where the operator signs in, if not in `realm`.",
        ways=(SERVICE_WAY, USER_WAY),
    ),
    Setting("tag_attribute", "Of a user, which says whose it is.", default=TAG),
    *TLS,
    *LIMITS,
)  # fmt: skip
