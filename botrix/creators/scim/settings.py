"""The settings of a `scim` directory, and its credentials, which are never stored in the ledger."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botrix.errors import DirectoryError

_KNOWN = {"url", "token_env", "token_file", "concurrency", "allow_http"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class ScimSettings:
    """url: of the SCIM base, without `/Users`. token: of the operator, by token_env (the name of a
    variable) or token_file. concurrency: requests at once. allow_http: passwords may travel in
    the clear, also off this machine."""

    url: str
    token: str = field(repr=False)
    concurrency: int = 16


def read(config: Mapping[str, Any]) -> ScimSettings:
    """Raises DirectoryError, saying what to correct."""
    if secret := next((name for name in ("token", "password", "secret") if name in config), None):
        raise DirectoryError(
            f"`{secret}` would be stored in the clear; give token_env=NAME or token_file=PATH"
        )
    if unknown := sorted(set(config) - _KNOWN):
        known = ", ".join(sorted(_KNOWN))
        raise DirectoryError(f"a scim directory has no setting {unknown[0]!r}; there are: {known}")
    concurrency = config.get("concurrency", 16)
    if type(concurrency) is not int or not 1 <= concurrency <= 256:
        raise DirectoryError("`concurrency` must be a number from 1 to 256")
    return ScimSettings(_url(config), _token(config), concurrency)


def _url(config: Mapping[str, Any]) -> str:
    url = str(config.get("url", ""))
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.password or parts.query or parts.fragment:
        raise DirectoryError("`url` must be like https://HOST/scim/v2, without a user in it")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not config.get("allow_http"):
        raise DirectoryError(
            f"passwords would go to {parts.hostname} in the clear; use https, or allow_http=true"
        )
    return url.rstrip("/")


def _token(config: Mapping[str, Any]) -> str:
    given = [name for name in ("token_env", "token_file") if name in config]
    if len(given) != 1:
        raise DirectoryError("give the operator's token by token_env=NAME or token_file=PATH")
    name = str(config[given[0]])
    if given[0] == "token_env":
        token = os.environ.get(name, "")
        where = f"the variable {name}"
    else:
        try:
            token = Path(name).expanduser().read_text()
        except (OSError, UnicodeError):
            raise DirectoryError(
                f"the token file {name} cannot be read; correct its path"
            ) from None
        where = f"the file {name}"
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise DirectoryError(f"{where} holds no usable token; put the operator's token there")
    return token
