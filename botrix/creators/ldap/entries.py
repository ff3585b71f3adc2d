"""What an account becomes in a directory, and whose an entry found there is. Pure."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Sequence

from botrix.creators.creator import Entry as Found
from botrix.creators.creator import Sighting, Wanted, Whose
from botrix.creators.ldap.escaping import rdn
from botrix.creators.ldap.messages import Entry
from botrix.creators.ldap.settings import LdapSettings
from botrix.errors import InvalidInput
from botrix.model import Person

_LONGEST_NAME = 254
"""Octets; OpenLDAP takes no longer one into a DN. Others take less, and say so themselves."""
_FIELDS = {
    "email": "mail",
    "given_name": "givenName",
    "family_name": "sn",
    "display_name": "displayName",
}
_HASH = "userPassword"
_DISABLED = 2
"""The bit of userAccountControl."""


def dn_of(settings: LdapSettings, username: str) -> str:
    """Raises InvalidInput for a name that no entry can have."""
    written = rdn(settings.rdn, username)
    size = len(username.encode())
    if not 1 <= size <= _LONGEST_NAME:
        raise InvalidInput(
            f"the name {username[:40]!a} has {size} octets; a directory takes 1 to {_LONGEST_NAME}"
        )
    return f"{written},{settings.base}"


def values_of(
    settings: LdapSettings, one: Wanted, password: bytes
) -> dict[str, Sequence[str | bytes]]:
    """The attributes of the entry; those that would be empty are left out, as LDAP wants it."""
    person, profile = one.person, settings.profile
    said = {
        "cn": person.display_name or person.username,
        "sn": person.family_name or person.username,
        "givenName": person.given_name,
        "displayName": person.display_name,
        "mail": person.email,
        **_said(settings, person),
        **profile.fixed,
        **(profile.must_change if one.must_change else {}),
        settings.login: person.username,
        settings.rdn: person.username,
    }
    if profile.is_domain:
        said["userPrincipalName"] = _principal(settings, person.username)
    else:
        said["uid"] = person.username
    values: dict[str, Sequence[str | bytes]] = {
        name: [value] for name, value in said.items() if value
    }
    values["objectClass"] = settings.classes
    values["unicodePwd" if profile.is_domain else "userPassword"] = [password]
    values[settings.tag] = [*values.get(settings.tag, ()), one.tag]
    return values


def _said(settings: LdapSettings, person: Person) -> dict[str, str]:
    """A manager is named by the DN of an account beside this one."""
    kept = settings.attributes
    found = {kept[name]: text for name, text in person.attributes.items() if name in kept}
    manager = person.attributes.get("manager")
    if manager and "manager" in kept:
        found[kept["manager"]] = dn_of(settings, manager)
    return found


def _principal(settings: LdapSettings, username: str) -> str:
    """name@domain, by the DC parts of the base."""
    if "@" in username:
        return username
    parts = (part.strip().partition("=") for part in settings.base.split(","))
    domain = ".".join(value.strip() for name, _, value in parts if name.strip().lower() == "dc")
    return f"{username}@{domain}" if domain else ""


def entry_id(settings: LdapSettings, entry: Entry) -> str:
    """The server's own name of the entry, which it keeps for ever; where the server does not find
    entries by that alone, its DN goes with it, to look there first. "" where it cannot be read."""
    profile = settings.profile
    held = entry.values.get(profile.entry_id.lower())
    if not held:
        return ""
    if profile.binary_id:
        return str(uuid.UUID(bytes_le=held[0])) if len(held[0]) == 16 else ""
    return f"{entry.first(profile.entry_id)}:{entry.dn}"


def by_id(settings: LdapSettings, entry_id: str) -> tuple[str, str]:
    """The server's own name of the entry, and the DN to ask at; "" and "" for what is no id."""
    if settings.profile.binary_id:
        try:
            return str(uuid.UUID(entry_id)), f"<GUID={uuid.UUID(entry_id)}>"
        except ValueError:
            return "", ""
    own, _, dn = entry_id.partition(":")
    return (own, dn) if own and dn else ("", "")


def can_demand(settings: LdapSettings, root: Entry) -> bool:
    """Whether one entry alone can be made to choose another password. root: of the server."""
    profile = settings.profile
    known = not profile.must_change_by or profile.must_change_by in root.texts("supportedControl")
    return bool(profile.must_change) and known


def judge(settings: LdapSettings, one: Wanted, rows: Sequence[Entry]) -> Sighting:
    """Whose the entry of this name is, among rows that came for it."""
    name, seen = folded(one.person.username), Sighting(Whose.NOBODY)
    for row in rows:
        named = [*row.texts(settings.login), *row.texts(settings.rdn)]
        if name not in map(folded, named):
            continue
        entry = entry_of(settings, row, one.tag)
        if not entry.entry_id:
            detail = f"its {settings.profile.entry_id} cannot be read; allow the operator to"
            return Sighting(Whose.UNSURE, detail=detail)
        if entry.tag == one.tag:
            return entry.seen(Whose.OURS)
        seen = entry.seen(Whose.OTHER_JOB if entry.is_of_botrix else Whose.FOREIGN)
    return seen


def shown(settings: LdapSettings) -> tuple[str, ...]:
    """The attributes that tell all that there is to be told of an entry."""
    profile = settings.profile
    told = {settings.login, settings.rdn, settings.tag, profile.entry_id, *_FIELDS.values()}
    return (*sorted(told), *(name for name in profile.disabled if name != _HASH))


def entry_of(settings: LdapSettings, row: Entry, tag: str = "") -> Found:
    """tag: the one of several that is looked for. A family name that is the user name stands for
    none (see `values_of`), and tells nothing."""
    tags = sorted(
        row.texts(settings.tag), key=lambda one: (one != tag, not one.startswith("botrix:"))
    )
    username = row.first(settings.login) or row.first(settings.rdn)
    fields = {name: row.first(attribute) for name, attribute in _FIELDS.items()}
    if folded(fields["family_name"]) == folded(username):
        del fields["family_name"]
    held = tags[0] if tags else None
    return Found(entry_id(settings, row), username, held, fields, _active(settings, row))


def _active(settings: LdapSettings, row: Entry) -> bool | None:
    """None where only the hash of the password would tell, which is not asked for."""
    profile = settings.profile
    if _HASH in profile.disabled:
        return None
    if profile.is_domain:
        flags = row.first("userAccountControl")
        return not int(flags) & _DISABLED if flags.isdigit() else None
    return all(
        row.first(name).casefold() != value.casefold() for name, value in profile.disabled.items()
    )


def folded(name: str) -> str:
    """The form in which names are the same to some server: of any case and width, accents and what
    cannot be seen left out, no needless spaces. It only confirms what the server found."""
    split = unicodedata.normalize("NFKD", name.casefold())
    kept = (c for c in split if unicodedata.category(c) not in ("Mn", "Cf", "Cc"))
    return " ".join("".join(kept).split()) or name[:1]
