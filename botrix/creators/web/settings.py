"""The settings that every directory behind HTTP has. Secrets are named, or come sealed; never in
the clear."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botrix.addresses import Reach, Target, check_url, read_networks
from botrix.creators.creator import Secret
from botrix.errors import AddressRefused, DirectoryError

URL = frozenset({"url", "allow_http", "networks"})
TOKEN = frozenset({"token", "token_env", "token_file"})
LIMITS = frozenset({"concurrency", "rate"})
"""Read by the worker, which finds the limit of a directory; every kind lets them be."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """url: without a slash at its end; target: what it names. authorization: of each request."""

    url: str
    target: Target
    authorization: str = field(repr=False)


def check_known(kind: str, config: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises DirectoryError for a secret in the clear and for a setting that there is not."""
    plain = (name for name in ("token", "password", "secret", "client_secret") if name in config)
    if secret := next((name for name in plain if not isinstance(config[name], Secret)), None):
        raise DirectoryError(
            f"`{secret}` would be stored in the clear; "
            f"give {secret}_env=NAME or {secret}_file=PATH, or seal it: --secret {secret}"
        )
    if unknown := sorted(set(config) - set(known) - LIMITS):
        names = ", ".join(sorted(set(known) | LIMITS))
        raise DirectoryError(
            f"a {kind} directory has no setting {unknown[0]!r}; there are: {names}"
        )


def read_url(config: Mapping[str, Any], example: str) -> tuple[str, Target]:
    """allow_http: passwords may travel in the clear, also off this machine. networks: addresses
    that may be called besides public ones. Raises DirectoryError, saying what to correct."""
    url = config.get("url", "")
    allow_http = config.get("allow_http", False)
    if type(allow_http) is not bool:
        raise DirectoryError("`allow_http` must be true or false")
    if not isinstance(url, str) or "?" in url:
        raise DirectoryError(f"`url` must be like {example}")
    try:
        networks = read_networks(config.get("networks", ()))
        return url.rstrip("/"), check_url(url, Reach(allow_http, networks))
    except AddressRefused as refused:
        raise DirectoryError(f"`url` cannot be used: {refused}") from None


def read_secret(config: Mapping[str, Any], name: str) -> str:
    """Sealed, or by name_env (the name of a variable) or name_file. Raises DirectoryError where it
    is given more or less than once, or cannot be sent in a header."""
    given = [key for key in (name, f"{name}_env", f"{name}_file") if key in config]
    if len(given) != 1:
        raise DirectoryError(
            f"give the operator's {name} once: {name}_env=NAME, {name}_file=PATH, or sealed by "
            f"--secret {name}"
        )
    value, where = _read(given[0], config[given[0]])
    value = value.strip()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
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
