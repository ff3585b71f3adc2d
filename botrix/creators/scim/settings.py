"""The settings of a `scim` directory. Its token is named, or comes sealed; never in the clear."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botrix.addresses import Reach, Target, check_url, read_networks
from botrix.creators.creator import Secret
from botrix.errors import AddressRefused, DirectoryError

_KNOWN = {"url", "token", "token_env", "token_file", "concurrency", "allow_http", "networks"}
_TOKENS = ("token", "token_env", "token_file")


@dataclass(frozen=True, slots=True)
class ScimSettings:
    """url: of the SCIM base, without `/Users`; target: what it names. token: of the operator, by
    token_env (the name of a variable), token_file, or sealed. concurrency: requests at once."""

    url: str
    target: Target
    token: str = field(repr=False)
    concurrency: int = 16


def read(config: Mapping[str, Any]) -> ScimSettings:
    """allow_http: passwords may travel in the clear, also off this machine. networks: addresses
    that may be called besides public ones. Raises DirectoryError, saying what to correct."""
    plain = (name for name in ("token", "password", "secret") if name in config)
    if secret := next((name for name in plain if not isinstance(config[name], Secret)), None):
        raise DirectoryError(
            f"`{secret}` would be stored in the clear; "
            "give token_env=NAME or token_file=PATH, or seal it: --secret token"
        )
    if unknown := sorted(set(config) - _KNOWN):
        known = ", ".join(sorted(_KNOWN))
        raise DirectoryError(f"a scim directory has no setting {unknown[0]!r}; there are: {known}")
    concurrency = config.get("concurrency", 16)
    if type(concurrency) is not int or not 1 <= concurrency <= 256:
        raise DirectoryError("`concurrency` must be a number from 1 to 256")
    url, target = _url(config)
    return ScimSettings(url, target, _token(config), concurrency)


def _url(config: Mapping[str, Any]) -> tuple[str, Target]:
    url = config.get("url", "")
    allow_http = config.get("allow_http", False)
    if type(allow_http) is not bool:
        raise DirectoryError("`allow_http` must be true or false")
    if not isinstance(url, str) or "?" in url:
        raise DirectoryError("`url` must be like https://HOST/scim/v2")
    try:
        networks = read_networks(config.get("networks", ()))
        return url.rstrip("/"), check_url(url, Reach(allow_http, networks))
    except AddressRefused as refused:
        raise DirectoryError(f"`url` cannot be used: {refused}") from None


def _token(config: Mapping[str, Any]) -> str:
    given = [name for name in _TOKENS if name in config]
    if len(given) != 1:
        raise DirectoryError(
            "give the operator's token once: token_env=NAME, token_file=PATH, or sealed by "
            "--secret token"
        )
    name = given[0]
    token, where = _read_token(name, config[name])
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise DirectoryError(f"{where} holds no usable token; put the operator's token there")
    return token


def _read_token(name: str, value: Any) -> tuple[str, str]:
    """The token, and where it was."""
    if isinstance(value, Secret):
        return value.plain, "the sealed secret"
    if name == "token_env":
        return os.environ.get(str(value), ""), f"the variable {value}"
    try:
        return Path(str(value)).expanduser().read_text(), f"the file {value}"
    except (OSError, UnicodeError):
        raise DirectoryError(f"the token file {value} cannot be read; correct its path") from None
