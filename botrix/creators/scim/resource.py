"""An account as a SCIM user (RFC 7643, 4.1 and 4.3), as far as the server's schemas have what there
is to say; and a user as an entry. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botrix.creators.creator import Entry, Wanted
from botrix.creators.scim.discovery import ENTERPRISE, USER, Attributes, Schemas

_CORE = ("active", "displayName", "emails", "name")
_EMAIL = ("type", "primary")
_MORE = {"title": "title", "phone": "phoneNumbers"}
_OF_ENTERPRISE = {
    "employee_number": "employeeNumber",
    "department": "department",
    "division": "division",
    "organization": "organization",
    "cost_center": "costCenter",
    "manager": "manager",
}
_SHOWN = {
    "email": ("emails", "value"),
    "given_name": ("name", "givenName"),
    "family_name": ("name", "familyName"),
    "display_name": ("displayName", ""),
}


def resource(
    one: Wanted, schemas: Schemas | None, manager: str | None = None, *, primary: bool = True
) -> dict[str, Any]:
    """manager: the id of who that is. primary: whether the e-mail may be called so. Without schemas
    what every server should know is sent, and no more."""
    core, more = _core(one, primary), _said(one, _MORE)
    if "phoneNumbers" in more:
        more["phoneNumbers"] = [{"value": more["phoneNumbers"], "type": "work"}]
    sent = {
        "schemas": [USER],
        "externalId": one.tag,
        "userName": one.person.username,
        "password": one.password,
        **(core if schemas is None else _known(schemas.user, {**core, **more})),
    }
    extension = {} if schemas is None else _extension(one, schemas.enterprise, manager)
    if extension:
        sent["schemas"] = [USER, ENTERPRISE]
        sent[ENTERPRISE] = extension
    return sent


def entry_of(row: Mapping[str, Any], schemas: Schemas | None) -> Entry:
    """Of a user as it came. What is not there is empty where the server's schema has it; else it
    may be that it is not kept."""
    tag, active = row.get("externalId"), row.get("active")
    known = schemas.user if schemas else {}
    fields = {}
    for name, (attribute, part) in _SHOWN.items():
        said = _shown(row.get(attribute), part)
        if said is not None or (attribute.lower() in known):
            fields[name] = said or ""
    return Entry(
        str(row.get("id", "")),
        str(row.get("userName", "")),
        None if tag is None else str(tag),
        fields,
        active if type(active) is bool else None,
    )


def wants_manager(one: Wanted, schemas: Schemas | None) -> str:
    """The user name of the manager whose id is needed; "" where there is none to be sent."""
    known = schemas is not None and "manager" in schemas.enterprise
    return one.person.attributes.get("manager", "") if known else ""


def left_out(schemas: Schemas) -> list[str]:
    """The attributes that this server does not have."""
    core = [name for name in (*_CORE, *_MORE.values()) if name.lower() not in schemas.user]
    if parts := schemas.user.get("emails"):
        core += [f"the {name} of an e-mail" for name in _EMAIL if name not in parts]
    if not schemas.enterprise:
        return [*core, *_OF_ENTERPRISE.values()]
    rest = _OF_ENTERPRISE.values()
    return core + [name for name in rest if name.lower() not in schemas.enterprise]


def _core(one: Wanted, primary: bool) -> dict[str, Any]:
    person = one.person
    name = {
        "formatted": person.display_name,  # which some demand
        "givenName": person.given_name,
        "familyName": person.family_name,
    }
    email = {"value": person.email, "type": "work", **({"primary": True} if primary else {})}
    return {
        "name": {key: value for key, value in name.items() if value},
        "displayName": person.display_name,
        "emails": [email],
        "active": True,
    }


def _shown(said: Any, part: str) -> str | None:
    """Of several, the first that is called primary, or else the first."""
    if isinstance(said, list):
        objects = [one for one in said if isinstance(one, dict)]
        said = next((one for one in objects if one.get("primary") is True), None) or next(
            iter(objects), None
        )
    if part:
        said = said.get(part) if isinstance(said, dict) else None
    return said if isinstance(said, str) else None


def _extension(one: Wanted, known: Attributes, manager: str | None) -> dict[str, Any]:
    said = _said(one, _OF_ENTERPRISE)
    said.pop("manager", None)
    if manager is not None:
        said["manager"] = {"value": manager}
    return _known(known, said)


def _said(one: Wanted, names: Mapping[str, str]) -> dict[str, Any]:
    given = one.person.attributes
    return {theirs: given[ours] for ours, theirs in names.items() if given.get(ours)}


def _known(attributes: Attributes, said: Mapping[str, Any]) -> dict[str, Any]:
    """What the schema has of it."""
    kept = {}
    for name, value in said.items():
        subs = attributes.get(name.lower())
        if subs is None:
            continue
        kept[name] = _parts(value, subs) if subs else value
    return kept


def _parts(value: Any, subs: frozenset[str]) -> Any:
    if isinstance(value, list):
        return [_parts(one, subs) for one in value]
    if isinstance(value, dict):
        return {name: one for name, one in value.items() if name.lower() in subs}
    return value
