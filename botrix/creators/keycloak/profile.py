"""What a realm keeps of the attributes of a user, by its user profile. Pure.

A realm drops, and says nothing of it, what its profile does not name, unless its policy for
unmanaged attributes lets administrators write them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_KEPT = ("ENABLED", "ADMIN_EDIT")
_SENT = ("username", "email")
"""What every account has; names are missing in some rosters."""


@dataclass(frozen=True, slots=True)
class Profile:
    """policy: for attributes that it does not name."""

    policy: str
    attributes: Mapping[str, Mapping[str, Any]]

    def keeps(self, name: str) -> bool:
        """Whether an administrator can set it."""
        named = self.attributes.get(name)
        return self.policy in _KEPT if named is None else "admin" in _who(named, "edit")

    def people_may_change(self, name: str) -> bool:
        """Of themselves."""
        named = self.attributes.get(name)
        return self.policy == "ENABLED" if named is None else "user" in _who(named, "edit")

    def asked_for(self) -> list[str]:
        """What people must tell at their first sign-in where an account lacks it."""
        return [
            name for name, one in self.attributes.items()
            if name not in _SENT and "user" in _list(one.get("required"), "roles")
        ]  # fmt: skip


def read(representation: Any) -> Profile | None:
    """None where it is none."""
    if not isinstance(representation, dict):
        return None
    listed = representation.get("attributes")
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        return None
    named = {str(one.get("name", "")): one for one in listed}
    return Profile(str(representation.get("unmanagedAttributePolicy", "")), named)


def _who(attribute: Mapping[str, Any], what: str) -> list[Any]:
    return _list(attribute.get("permissions"), what)


def _list(holder: Any, name: str) -> list[Any]:
    found = holder.get(name) if isinstance(holder, dict) else None
    return found if isinstance(found, list) else []
