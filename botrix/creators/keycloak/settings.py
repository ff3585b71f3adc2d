"""The settings of a `keycloak` directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from botrix.addresses import Target
from botrix.creators.declared import names
from botrix.creators.keycloak.declared import ADMIN_CLIENT, SETTINGS, TAG
from botrix.creators.web.authorization import Authorization, Fixed
from botrix.creators.web.settings import (
    PASSWORD,
    TOKEN,
    WebSettings,
    check_known,
    read_flag,
    read_secret,
    read_url,
)
from botrix.creators.web.tls import read_tls
from botrix.creators.web.tokens import Grant, Tokens
from botrix.errors import DirectoryError
from botrix.model import ATTRIBUTES

_SECRET = frozenset({"client_secret", "client_secret_env", "client_secret_file"})
_TAKEN = frozenset({*ATTRIBUTES, "username", "email", "firstName", "lastName", "locale"})


@dataclass(frozen=True, slots=True)
class KeycloakSettings:
    """realm: into which accounts go. tag_attribute: of a user, for the tag."""

    web: WebSettings
    realm: str
    tag_attribute: str

    @property
    def path(self) -> str:
        """Of all that is said of the realm, below the url."""
        return f"/admin/realms/{quote(self.realm, safe='')}"


def read(config: Mapping[str, Any]) -> KeycloakSettings:
    """url: of the server, before `/admin`. Raises DirectoryError, saying what to correct."""
    check_known("keycloak", config, names(SETTINGS))
    url, target = read_url(config, "https://HOST")
    tls = read_tls(config, url)
    realm = _text(config, "realm")
    if realm in (".", ".."):
        raise DirectoryError("`realm` must be the name of a realm; correct it")
    tag = _text(config, "tag_attribute", TAG)
    if tag in _TAKEN:
        raise DirectoryError(f"`tag_attribute` cannot be {tag}, which says something else already")
    if any(name in config for name in TOKEN):
        if given := sorted(set(config) & (PASSWORD | _SECRET | {"client_id", "auth_realm"})):
            raise DirectoryError(f"a token needs no {given[0]}; leave one of them out")
        authorization: Authorization = Fixed(f"Bearer {read_secret(config, 'token')}")
    else:
        at = quote(_text(config, "auth_realm", realm), safe="")
        address = f"{url}/realms/{at}/protocol/openid-connect/token"
        authorization = Tokens(_grant(config, address, target), tls)
    web = WebSettings(url, target, authorization, tls, read_flag(config, "traceparent"))
    return KeycloakSettings(web, realm, tag)


def _grant(config: Mapping[str, Any], address: str, target: Target) -> Grant:
    """Of a service account, or of a user who administers."""
    secret = read_secret(config, "client_secret") if set(config) & _SECRET else ""
    if set(config) & PASSWORD:
        return Grant(
            address, target, _text(config, "client_id", ADMIN_CLIENT), secret,
            username=_text(config, "username"), password=read_secret(config, "password"),
        )  # fmt: skip
    if not secret:
        raise DirectoryError(
            "give client_id and client_secret of a service account, or username and password, or "
            "a token; each secret sealed, among the secrets (at the terminal: --secret NAME), or "
            "by NAME_env=VARIABLE or NAME_file=PATH"
        )
    return Grant(address, target, _text(config, "client_id"), secret)


def _text(config: Mapping[str, Any], name: str, default: str = "") -> str:
    value = config.get(name, default)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise DirectoryError(f"`{name}` must be a text; put it there")
    return value
