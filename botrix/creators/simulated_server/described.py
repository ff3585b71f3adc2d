"""What the simulated server says of itself, as its quirks have it; and what its schemas let in."""

from __future__ import annotations

from typing import Any

from botrix.creators.simulated_server.quirks import Quirks

_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
_ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_PLAIN = ("userName", "displayName", "title", "active", "password")
_PARTS = {
    "name": ("givenName", "familyName"),
    "emails": ("value", "type", "primary"),
    "phoneNumbers": ("value", "type"),
}
_OF_ENTERPRISE = ("employeeNumber", "department", "division", "organization", "costCenter")
_COMMON = {"schemas", "id", "externalId", "meta"}


def configuration(quirks: Quirks) -> dict[str, Any]:
    """The body of /ServiceProviderConfig."""
    bulk = quirks.bulk
    said: dict[str, Any] = {
        "filter": {"supported": not quirks.no_filter, "maxResults": quirks.page},
        "patch": {"supported": not quirks.no_patch},
        "etag": {"supported": quirks.etag},
        "bulk": {
            "supported": bulk.most > 0,
            "maxOperations": bulk.most,
            "maxPayloadSize": bulk.payload,
        },
    }
    if quirks.cursor:
        said["pagination"] = {"cursor": True, "index": False, "maxPageSize": quirks.page}
    return said


def schemas(quirks: Quirks) -> dict[str, Any]:
    """The body of /Schemas."""
    user = [{"name": name, "mutability": "readWrite"} for name in _PLAIN]
    user += [_complex(name, parts) for name, parts in _PARTS.items()]
    listed = [{"id": _USER, "attributes": user}]
    if quirks.schemas == "all":
        more = [{"name": name, "mutability": "readWrite"} for name in _OF_ENTERPRISE]
        more.append(_complex("manager", ("value",)))
        listed.append({"id": _ENTERPRISE, "attributes": more})
    return {"totalResults": len(listed), "Resources": listed}


def strange(quirks: Quirks, user: dict[str, Any]) -> str:
    """The first attribute that this server does not know."""
    if quirks.schemas == "none":
        return ""
    known = {*_COMMON, *_PLAIN, *_PARTS, *([_ENTERPRISE] if quirks.schemas == "all" else [])}
    more = user.get(_ENTERPRISE, {})
    unknown = [name for name in user if name not in known]
    unknown += [name for name in more if name not in (*_OF_ENTERPRISE, "manager")]
    return unknown[0] if unknown else ""


def _complex(name: str, parts: tuple[str, ...]) -> dict[str, Any]:
    subs = [{"name": part, "mutability": "readWrite"} for part in parts]
    return {"name": name, "mutability": "readWrite", "subAttributes": subs}
