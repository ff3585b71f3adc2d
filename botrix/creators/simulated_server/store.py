"""What the simulated directory holds: users, and groups."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Entry = dict[str, Any]


@dataclass(slots=True)
class Store:
    """users by id, and the id of each name; groups by id; since: when a user was made. writes:
    raised by each change, for ETags."""

    rng: random.Random
    users: dict[str, Entry] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    groups: dict[str, Entry] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)
    writes: int = 0

    def add_user(self, user: Entry) -> Entry:
        entry_id = self._new_id()
        entry = {**user, "id": entry_id, "meta": {"resourceType": "User"}}
        entry["password"] = digest(entry_id, str(user.get("password", "")))
        self.users[entry_id] = entry
        self.names.setdefault(user["userName"].casefold(), entry_id)
        self.since[entry_id] = time.monotonic()
        self.written(entry)
        return entry

    def remove_user(self, entry_id: str) -> Entry | None:
        entry = self.users.pop(entry_id, None)
        if entry is not None:
            del self.names[entry["userName"].casefold()]
        return entry

    def have_groups(self, names: Iterable[str]) -> None:
        """These alone; those that are there stay as they are."""
        there = {str(group["displayName"]): group for group in self.groups.values()}
        self.groups = {}
        for name in names:
            group = there.get(name) or self._new_group(name)
            self.groups[group["id"]] = group

    def written(self, entry: Entry) -> None:
        self.writes += 1
        entry["meta"] = {**entry["meta"], "version": f'W/"{self.writes}"'}

    def _new_group(self, name: str) -> Entry:
        entry: Entry = {"id": self._new_id(), "displayName": name, "members": []}
        entry["meta"] = {"resourceType": "Group"}
        self.written(entry)
        return entry

    def _new_id(self) -> str:
        return f"{self.rng.getrandbits(96):024x}"


def digest(entry_id: str, password: str) -> str:
    """No hash for real passwords; it only spares the log and the answers the plain text."""
    return hashlib.sha256(f"{entry_id}:{password}".encode()).hexdigest()


def shown(entry: Entry) -> Entry:
    """As it may be read."""
    return {key: value for key, value in entry.items() if key != "password"}
