"""The settings that every directory behind HTTP has. Secrets are named, or come sealed; never in
the clear."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botrix.addresses import Reach, Target, check_url, read_networks
from botrix.creators import limits
from botrix.creators.creator import Secret
from botrix.creators.declared import names
from botrix.creators.web import declared
from botrix.creators.web.authorization import Authorization, Fixed, basic
from botrix.creators.web.tls import TLS, read_tls
from botrix.creators.web.tokens import Grant, Tokens
from botrix.errors import AddressRefused, DirectoryError

URL = names(declared.URL)
TOKEN = names([declared.TOKEN])
PASSWORD = names([declared.USERNAME, declared.PASSWORD])
CLIENT = names(declared.CLIENT)
WEB = URL | TLS | TOKEN | PASSWORD | CLIENT
"""All that `read_web` reads."""
_LIMITS = names(limits.LIMITS)
"""Read by the worker, which finds the limit of a directory; every kind lets them be."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """url: without a slash at its end; target: what it names. authorization: of each request. tls:
    how the host is verified, unless by the authorities that this system trusts. traceparent:
    whether it is told which trace a request belongs to."""

    url: str
    target: Target
    authorization: Authorization = field(repr=False)
    tls: ssl.SSLContext | None = None
    traceparent: bool = False


def read_web(
    kind: str, config: Mapping[str, Any], example: str, besides: Iterable[str] = ()
) -> WebSettings:
    """besides: the settings of the kind itself. Raises DirectoryError, saying what to correct."""
    check_known(kind, config, WEB | set(besides))
    url, target = read_url(config, example)
    tls = read_tls(config, url, *(str(config[name]) for name in ("token_url",) if name in config))
    traced = read_flag(config, "traceparent")
    return WebSettings(url, target, read_authorization(config, tls), tls, traced)


def check_known(kind: str, config: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises DirectoryError for a secret in the clear and for a setting that there is not."""
    plain = (name for name in ("token", "password", "secret", "client_secret") if name in config)
    if secret := next((name for name in plain if not isinstance(config[name], Secret)), None):
        raise DirectoryError(
            f"`{secret}` would be stored in the clear; "
            f"give it sealed, among the secrets (at the terminal: --secret {secret}), or by "
            f"{secret}_env=NAME or {secret}_file=PATH"
        )
    if unknown := sorted(set(config) - set(known) - _LIMITS):
        there_are = ", ".join(sorted(set(known) | _LIMITS))
        raise DirectoryError(
            f"a {kind} directory has no setting {unknown[0]!r}; there are: {there_are}"
        )


def read_url(config: Mapping[str, Any], example: str, name: str = "url") -> tuple[str, Target]:
    """allow_http: passwords may travel in the clear, also off this machine. networks: addresses
    that may be called besides public ones. Raises DirectoryError, saying what to correct."""
    url = config.get(name, "")
    allow_http = read_flag(config, "allow_http")
    if not isinstance(url, str) or "?" in url:
        raise DirectoryError(f"`{name}` must be like {example}")
    try:
        networks = read_networks(config.get("networks", ()))
        return url.rstrip("/"), check_url(url, Reach(allow_http, networks))
    except AddressRefused as refused:
        raise DirectoryError(f"`{name}` cannot be used: {refused}") from None


def read_flag(config: Mapping[str, Any], name: str) -> bool:
    """Off unless it is set. Raises DirectoryError."""
    flag = config.get(name, False)
    if type(flag) is not bool:
        raise DirectoryError(f"`{name}` must be true or false")
    return flag


def read_authorization(config: Mapping[str, Any], tls: ssl.SSLContext | None) -> Authorization:
    """A token; username and password; or a client of OAuth 2.0. Raises DirectoryError where there
    is more or less than one of these."""
    given = [names for names in (TOKEN, PASSWORD, CLIENT) if names & set(config)]
    if len(given) > 1:
        raise DirectoryError(
            "the operator has one way to sign in: give token, or username and password, or "
            "token_url, client_id and client_secret"
        )
    if given == [PASSWORD]:
        return Fixed(basic(_name(config, "username", ":"), read_secret(config, "password")))
    if given == [CLIENT]:
        return Tokens(_read_grant(config), tls)
    return Fixed(f"Bearer {read_secret(config, 'token')}")


def _read_grant(config: Mapping[str, Any]) -> Grant:
    url, target = read_url(config, "https://HOST/oauth/token", "token_url")
    ways = {"basic": False, "body": True}
    if config.get("client_auth", "basic") not in ways:
        raise DirectoryError("`client_auth` must be basic (as most servers have it) or body")
    return Grant(
        url, target, _name(config, "client_id"), read_secret(config, "client_secret"),
        scope=_name(config, "scope") if "scope" in config else "",
        in_body=ways[config.get("client_auth", "basic")],
    )  # fmt: skip


def _name(config: Mapping[str, Any], name: str, never: str = "") -> str:
    """One that is no secret."""
    value = config.get(name)
    usable = isinstance(value, str) and value.isprintable() and value
    if not usable or (never and never in str(value)):
        without = f" without `{never}`" if never else ""
        raise DirectoryError(f"`{name}` must be a text{without}; put the operator's there")
    return str(value)


def read_secret(config: Mapping[str, Any], name: str) -> str:
    """Sealed, or by name_env (the name of a variable) or name_file. Raises DirectoryError where it
    is given more or less than once, or cannot be sent."""
    given = [key for key in (name, f"{name}_env", f"{name}_file") if key in config]
    if len(given) != 1:
        raise DirectoryError(
            f"give the operator's {name} once: sealed, among the secrets (at the terminal: "
            f"--secret {name}), or by {name}_env=NAME or {name}_file=PATH"
        )
    value, where = _read(given[0], config[given[0]])
    value = value.strip()
    usable = value.isprintable()
    if name == "token":  # as it stands in a header
        usable = usable and value.isascii() and " " not in value
    if not value or not usable:
        raise DirectoryError(f"{where} holds no usable {name}; put the operator's {name} there")
    return value


def _read(key: str, value: Any) -> tuple[str, str]:
    """The secret, and where it was."""
    if isinstance(value, Secret):
        return value.plain, "the sealed secret"
    if key.endswith("_env"):
        return os.environ.get(str(value), ""), f"the variable {value}"
    try:
        return Path(str(value)).expanduser().read_text(), f"the file {value}"
    except (OSError, UnicodeError):
        raise DirectoryError(f"the file {value} cannot be read; correct its path") from None
