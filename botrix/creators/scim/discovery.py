"""What a SCIM server says of itself: `/ServiceProviderConfig` (RFC 7643, 5; RFC 9865, 4) and
`/Schemas` (RFC 7643, 7). Pure: reads what came, of whatever type, and never raises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_PAYLOAD = 1 << 20
_PAGE = 500

Attributes = Mapping[str, frozenset[str]]
"""The attributes of a schema that may be written, by lower-case name; with their sub-attributes,
also lower-case, or none where it has no such."""


@dataclass(frozen=True, slots=True)
class Features:
    """As they are where a server says nothing. bulk: operations of one Bulk, 0 where there is no
    Bulk; payload: bytes of its body. filter: False where it says that it has none. page: how many
    resources to ask for at once."""

    bulk: int = 0
    payload: int = _PAYLOAD
    patch: bool = True
    etag: bool = False
    cursor: bool = False
    filter: bool = True
    page: int = _PAGE


@dataclass(frozen=True, slots=True)
class Schemas:
    """Of users. enterprise: empty where the server does not have that extension. tags: False where
    it says that nobody's externalId is kept; that it need not be named at all, says nothing."""

    user: Attributes
    enterprise: Attributes
    tags: bool = True


def read_features(said: object) -> Features:
    """Of the body of /ServiceProviderConfig."""
    whole = _object(said)
    bulk, paging = _object(whole.get("bulk")), _object(whole.get("pagination"))
    payload = min(_number(bulk, "maxPayloadSize", _PAYLOAD), _PAYLOAD)
    bounds = (
        _number(_object(whole.get("filter")), "maxResults", _PAGE),
        _number(paging, "maxPageSize", _PAGE),
    )
    return Features(
        bulk=_number(bulk, "maxOperations", 0) if _supported(bulk) else 0,
        payload=payload,
        patch=_object(whole.get("patch")).get("supported") is not False,
        etag=_supported(_object(whole.get("etag"))),
        cursor=paging.get("cursor") is True,
        filter=_object(whole.get("filter")).get("supported") is not False,
        page=min(_PAGE, *bounds),
    )


def read_schemas(said: object) -> Schemas | None:
    """Of the body of /Schemas: a list answer, or a bare list; None where it knows no users."""
    listed = said if isinstance(said, list) else _object(said).get("Resources")
    found = {
        str(one["id"]).lower(): one.get("attributes")
        for one in _objects(listed)
        if isinstance(one.get("id"), str)
    }
    said = found.get(USER.lower())
    user = _attributes(said)
    return Schemas(user, _attributes(found.get(ENTERPRISE.lower())), _tags(said)) if user else None


def _tags(said: object) -> bool:
    ours = [one for one in _objects(said) if one.get("name") == "externalId"]
    lost = (one.get("mutability") == "readOnly" or one.get("returned") == "never" for one in ours)
    return not any(lost)


def _attributes(said: object) -> dict[str, frozenset[str]]:
    return {
        name.lower(): frozenset(_attributes(one.get("subAttributes")))
        for one in _objects(said)
        if isinstance(name := one.get("name"), str) and one.get("mutability") != "readOnly"
    }


def _object(said: object) -> dict[str, Any]:
    return said if isinstance(said, dict) else {}


def _objects(said: object) -> list[dict[str, Any]]:
    return [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []


def _supported(said: Mapping[str, Any]) -> bool:
    return said.get("supported") is True


def _number(said: Mapping[str, Any], name: str, otherwise: int) -> int:
    """A number of at least one; 0 and what is none say nothing."""
    value = said.get(name)
    return value if type(value) is int and value > 0 else otherwise
