"""The settings of an `ldap` directory."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botrix.addresses import Reach, Target, check_authority, read_networks
from botrix.creators.creator import Secret
from botrix.creators.declared import names
from botrix.creators.ldap import hashing
from botrix.creators.ldap.declared import SCHEMES, SETTINGS
from botrix.creators.ldap.escaping import rdn
from botrix.creators.ldap.profiles import PROFILES, Profile
from botrix.creators.web.settings import check_known
from botrix.creators.web.tls import TLS, read_context
from botrix.errors import AddressRefused, DirectoryError
from botrix.model import ATTRIBUTES

_URL = re.compile(r"(ldaps?)://([^/?#]+)/?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LdapSettings:
    """url: as it is shown. tls: from the first octet; start_tls: asked for before anything else.
    groups: what the groups are under, if there are any; group_member: the attribute of a group
    that holds its members. The rest is as in Profile, but for what the operator says instead."""

    url: str
    target: Target
    tls: bool
    start_tls: bool
    context: ssl.SSLContext | None = field(repr=False)
    bind_dn: str
    password: str = field(repr=False)
    profile: Profile
    base: str
    classes: tuple[str, ...]
    rdn: str
    login: str
    tag: str
    attributes: Mapping[str, str]
    scheme: str
    groups: str
    group_member: str


def read(config: Mapping[str, Any]) -> LdapSettings:
    """Raises DirectoryError, saying what to correct."""
    check_known("ldap", config, names(SETTINGS))
    url, tls, target = _url(config)
    start_tls = _flag(config, "start_tls")
    _check_plain(config, tls, start_tls, target)
    profile = _profile(config)
    name = _attribute(config, "rdn", profile.rdn)
    classes = config.get("object_classes", profile.classes)
    if not isinstance(classes, (list, tuple)) or not classes or not all(map(_is_name, classes)):
        raise DirectoryError('`object_classes` must be a list like ["top", "inetOrgPerson"]')
    return LdapSettings(
        url=url, target=target, tls=tls, start_tls=start_tls,
        context=_context(config, tls or start_tls),
        bind_dn=_text(config, "bind_dn", "cn=botrix,dc=example,dc=org"),
        password=_password(config), profile=profile,
        base=_dn(config, "base"), classes=tuple(classes), rdn=name,
        login=profile.login if profile.is_domain else name,
        tag=_attribute(config, "tag", profile.tag),
        attributes=_attributes(config, profile), scheme=_scheme(config, profile),
        groups=_dn(config, "groups") if "groups" in config else "",
        group_member=_attribute(config, "group_member", profile.member),
    )  # fmt: skip


def _url(config: Mapping[str, Any]) -> tuple[str, bool, Target]:
    url = config.get("url", "")
    found = _URL.fullmatch(url) if isinstance(url, str) and url.isascii() else None
    if found is None or not url.isprintable() or " " in url:
        raise DirectoryError("`url` must be like ldaps://HOST or ldap://HOST:PORT")
    tls = found[1].lower() == "ldaps"
    try:
        reach = Reach(networks=read_networks(config.get("networks", ())))
        target = check_authority(found[2], 636 if tls else 389, reach)
    except AddressRefused as refused:
        raise DirectoryError(f"`url` cannot be used: {refused}") from None
    return url.rstrip("/"), tls, target


def _check_plain(config: Mapping[str, Any], tls: bool, start_tls: bool, target: Target) -> None:
    if tls and start_tls:
        raise DirectoryError("`start_tls` is for ldap://, ldaps:// has TLS already; leave it out")
    allowed = _flag(config, "allow_plain")
    if not (tls or start_tls or target.here or allowed):
        raise DirectoryError(
            f"what goes to {target.host} would go in the clear; "
            "use ldaps://, start_tls=true, or allow_plain=true"
        )


def _context(config: Mapping[str, Any], secured: bool) -> ssl.SSLContext | None:
    given = sorted(name for name in TLS if name in config)
    if given and not secured:
        raise DirectoryError(f"`{given[0]}` is for TLS; use ldaps:// or start_tls=true")
    return (read_context(config) or ssl.create_default_context()) if secured else None


def _profile(config: Mapping[str, Any]) -> Profile:
    name = config.get("profile", "")
    if not isinstance(name, str) or name not in PROFILES:
        raise DirectoryError(f"`profile` must be one of: {', '.join(PROFILES)}")
    return PROFILES[name]


def _scheme(config: Mapping[str, Any], profile: Profile) -> str:
    scheme = config.get("password_scheme", profile.scheme)
    if profile.is_domain:
        if "password_scheme" in config:
            raise DirectoryError(
                "a domain takes passwords in one way only; leave `password_scheme` out"
            )
    elif scheme not in SCHEMES:
        raise DirectoryError(f"`password_scheme` must be one of: {', '.join(SCHEMES)}")
    hashing.hasher(scheme)
    return str(scheme)


def _attributes(config: Mapping[str, Any], profile: Profile) -> Mapping[str, str]:
    own = config.get("attributes", {})
    if not isinstance(own, dict) or not all(map(_is_name, own.values())):
        raise DirectoryError('`attributes` must be like {"cost_center": "departmentNumber"}')
    if unknown := sorted(set(own) - set(ATTRIBUTES)):
        known = ", ".join(ATTRIBUTES)
        raise DirectoryError(f"`attributes` has {unknown[0][:80]!a}; there are: {known}")
    return {**profile.attributes, **own}


def _flag(config: Mapping[str, Any], name: str) -> bool:
    value = config.get(name, False)
    if type(value) is not bool:
        raise DirectoryError(f"`{name}` must be true or false")
    return value


def _text(config: Mapping[str, Any], name: str, example: str) -> str:
    value = config.get(name)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise DirectoryError(f"`{name}` must be like {example}")
    return value


def _dn(config: Mapping[str, Any], name: str) -> str:
    value = _text(config, name, "ou=people,dc=example,dc=org")
    if not re.match(r"[A-Za-z][A-Za-z0-9-]*=.", value):
        raise DirectoryError(f"`{name}` must be like ou=people,dc=example,dc=org")
    return value


def _attribute(config: Mapping[str, Any], name: str, usual: str) -> str:
    value = config.get(name, usual)
    if not _is_name(value):
        raise DirectoryError(f"`{name}` must be the name of an attribute, like {usual}")
    return str(value)


def _is_name(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(rdn(value, "x"))
    except DirectoryError:
        return False


def _password(config: Mapping[str, Any]) -> str:
    """Unlike a token it may hold any sign; but an empty one would sign in as nobody, which a
    server answers as if it had been right (RFC 4513, 5.1.2)."""
    given = [key for key in ("password", "password_env", "password_file") if key in config]
    if len(given) != 1:
        raise DirectoryError(
            "give the operator's password once: sealed, among the secrets (at the terminal: "
            "--secret password), or by password_env=NAME or password_file=PATH"
        )
    value = config[given[0]]
    if isinstance(value, Secret):
        found, where = value.plain, "the sealed secret"
    elif given[0] == "password_env":
        found, where = os.environ.get(str(value), ""), f"the variable {value}"
    else:
        try:
            found, where = Path(str(value)).expanduser().read_text(), f"the file {value}"
        except (OSError, UnicodeError):
            raise DirectoryError(f"the file {value} cannot be read; correct its path") from None
    found = found.rstrip("\r\n")
    if not found or not found.isprintable():
        raise DirectoryError(f"{where} holds no usable password; put the operator's there")
    return found
