"""Groups by their paths, each looked up once and again after a minute.

`staff` is the group of that name at the top, `/staff/night` the one in it: a name alone could mean
several groups further down.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import quote

from botrix.creators.keycloak import users
from botrix.creators.web.http import Http
from botrix.model import Outcome, OutcomeKind

_FRESH = 60.0
_FRESH_MISSING = 5.0
_NOT_THERE = "Group path does not exist"


@dataclass(frozen=True, slots=True)
class Group:
    """As the realm has it."""

    group_id: str
    path: str


class Groups:
    """path: of the realm."""

    def __init__(self, http: Http, path: str) -> None:
        self._http = http
        self._path = path
        self._lock = asyncio.Lock()
        self._known: dict[str, tuple[float, Group | Outcome]] = {}

    async def named(self, name: str) -> Group | Outcome:
        """An outcome where there is no such group, or it could not be looked up."""
        async with self._lock:
            until, found = self._known.get(name, (0.0, None))
            if found is None or time.monotonic() > until:
                found = await self._look_up(name)
                if isinstance(found, Group):
                    self._known[name] = (time.monotonic() + _FRESH, found)
                elif found.kind is OutcomeKind.REJECTED:
                    self._known[name] = (time.monotonic() + _FRESH_MISSING, found)
        return found

    async def all(self, names: tuple[str, ...]) -> list[Group] | Outcome:
        found = []
        for name in names:
            one = await self.named(name)
            if isinstance(one, Outcome):
                return one
            found.append(one)
        return found

    def forget(self, names: tuple[str, ...]) -> None:
        """They may be gone, or be others by now."""
        for name in names:
            self._known.pop(name, None)

    async def _look_up(self, name: str) -> Group | Outcome:
        parts = name.removeprefix("/").split("/")
        if any(part in ("", ".", "..") for part in parts):
            return _missing(name)
        quoted = "/".join(quote(part, safe="", errors="replace") for part in parts)
        answer = await self._http.ask("GET", f"{self._path}/group-by-path/{quoted}")
        read = answer.resource()
        if answer.status == 404:
            missing = read.get("error") == _NOT_THERE
            return _missing(name) if missing else users.not_there(answer)
        group_id, path = read.get("id"), read.get("path")
        if answer.status != 200 or not isinstance(group_id, str):
            return users.not_read(answer)
        return Group(group_id, path) if path == f"/{'/'.join(parts)}" else _missing(name)


def _missing(name: str) -> Outcome:
    detail = f"there is no group {name[:100]}; make it at the directory, or write its whole path"
    return Outcome(OutcomeKind.REJECTED, None, "no such group", detail)
