"""How a directory is verified that bears a certificate of a private authority, and what this side
shows to it. There is no way to verify nothing."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botrix.creators.declared import names
from botrix.creators.web import declared
from botrix.errors import DirectoryError

_LONGEST = 16 << 20
TLS = names(declared.TLS)


def read_tls(config: Mapping[str, Any], *urls: str) -> ssl.SSLContext | None:
    """As `read_context`, for what is reached at these urls."""
    given = [name for name in TLS if name in config]
    if given and not all(url.lower().startswith("https:") for url in urls):
        raise DirectoryError(f"`{min(given)}` is for https; correct the url, or leave it out")
    return read_context(config)


def read_context(config: Mapping[str, Any]) -> ssl.SSLContext | None:
    """ca_file: PEM with the authorities to trust, instead of the system's. client_cert_file and
    client_key_file: PEM, of the operator. None: none of them is given. Raises DirectoryError."""
    given = {name: config[name] for name in TLS if name in config}
    if not given:
        return None
    if ("client_cert_file" in given) != ("client_key_file" in given):
        raise DirectoryError("client_cert_file and client_key_file belong together; give both")
    paths = {name: _path(name, value) for name, value in given.items()}
    context = _context(paths.get("ca_file"))
    if "client_cert_file" in paths:
        _show(context, paths["client_cert_file"], paths["client_key_file"])
    return context


def _path(name: str, value: Any) -> Path:
    path = Path(str(value)).expanduser()
    try:
        if not path.is_file() or path.stat().st_size > _LONGEST:  # a device might never end
            raise OSError
        path.read_bytes()
    except OSError:
        raise DirectoryError(
            f"`{name}`: the file {value} cannot be read; correct its path"
        ) from None
    return path


def _context(authorities: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authorities)
    except ssl.SSLError:
        raise DirectoryError(
            f"`ca_file`: {authorities} holds no certificate in PEM; put the authority's there"
        ) from None


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # A key with a password must not have OpenSSL ask for it at the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError):
        raise DirectoryError(
            f"{certificate} and {key} are no certificate and its key in PEM, without a password"
        ) from None
