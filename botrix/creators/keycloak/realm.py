"""What is learnt once of a realm: whether it can take accounts, and whether it keeps tags."""

from __future__ import annotations

import asyncio
from typing import Any

from botrix.creators.keycloak import profile, users
from botrix.creators.keycloak.settings import KeycloakSettings
from botrix.creators.web.http import Http
from botrix.model import Outcome, OutcomeKind

EMAIL_IS_NAME = "registrationEmailAsUsername"
NO_NAMES = "the realm takes e-mail addresses for user names; switch “Email as username” off"
_AGAIN = 60.0


class Realm:
    """keeps_tags: None while it is not known."""

    def __init__(self, http: Http, settings: KeycloakSettings) -> None:
        self._http = http
        self._path = settings.path
        self._tag = settings.tag_attribute
        self._asking = asyncio.Lock()
        self._takes = False
        self._looked = False
        self.keeps_tags: bool | None = None

    async def problem(self) -> Outcome | None:
        """Why no account should be created now: asked until there is none. A realm that does not
        tell is tried."""
        async with self._asking:
            if self._takes:
                return None
            answer = await self._http.ask("GET", self._path)
            if answer.status == 404:
                return users.not_there(answer)
            if answer.resource().get(EMAIL_IS_NAME) is True:
                return Outcome(OutcomeKind.RETRY, None, "user names", NO_NAMES, _AGAIN, False)
            self._takes = answer.status in (200, 403)
            return None

    async def profile(self) -> profile.Profile | None:
        """None where it cannot be had."""
        answer = await self._http.ask("GET", f"{self._path}/users/profile")
        return profile.read(answer.read()) if answer.status == 200 else None

    async def tells(self) -> bool | None:
        """Whether it keeps tags, by its profile where none was read back yet."""
        async with self._asking:
            if self.keeps_tags is None:
                read = await self.profile()
                self.keeps_tags = None if read is None else read.keeps(self._tag)
        return self.keeps_tags

    async def read_back(self, entry_id: str, tag: str) -> None:
        """Looks, once, whether the first one that was created kept its tag."""
        if self._looked:
            return
        self._looked = True
        answer = await self._http.ask("GET", self._path + users.path(entry_id))
        row: dict[str, Any] = answer.resource()
        if answer.status == 200 and row.get("id") == entry_id:
            self.keeps_tags = users.tag_of(row, self._tag) == tag
