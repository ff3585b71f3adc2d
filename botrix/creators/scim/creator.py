"""The `scim` directory: a SCIM 2.0 server, through its administrative interface (RFC 7643, 7644).

The unique key is `userName`; `externalId` carries the tag. Only an answer that can be read and
says so means created: a duplicate, an error of the server, a time-out or a body that makes no sense
leave the account unknown, and it is looked for. Every row of an answer is checked here again, since
there are servers that ignore the filter, and others that drop `externalId`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from botrix.creators.creator import Check, Deviation, Member, Sighting, Wanted, Whose
from botrix.creators.gate import Gate
from botrix.creators.scim import answers, settings
from botrix.creators.scim.listing import Listing, unsure
from botrix.creators.web.answer import CREDENTIALS, changed
from botrix.creators.web.http import Http
from botrix.creators.web.settings import SECRETS
from botrix.model import Outcome, OutcomeKind

_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_MEDIA = "application/scim+json"
SEALED = SECRETS
DEMANDS_A_CHANGE = False
GATED = True
_NO_ID = Outcome(OutcomeKind.UNKNOWN, None, "no usable id", "the directory gave no usable id")


async def open_creator(config: Mapping[str, Any], timeout: float, gate: Gate) -> ScimCreator:
    """config: see settings.py. Raises DirectoryError for settings that cannot be used."""
    return ScimCreator(Http(settings.read(config), timeout, gate, _MEDIA))


class ScimCreator:
    """See above."""

    kind = "scim"
    unique_key = "userName"
    batch = 8
    concurrency = 16

    def __init__(self, http: Http) -> None:
        self._http = http
        self._listing = Listing(http)
        self._filters: bool | None = None
        self._probing = asyncio.Lock()
        self._keeps_tags: bool | None = None

    async def check(self) -> Check:
        """Asks for the configuration, then whether the filter works."""
        said = await self._http.ask("GET", "/ServiceProviderConfig")
        if said.status in (401, 403):
            return Check(False, problem=CREDENTIALS)
        listed = await self._http.ask("GET", "/Users?startIndex=1&count=1")
        if answers.rows(listed) is None:
            problem = f"no list of users at {self._http.shown}: {listed.shown()}"
            return Check(False, problem=problem)
        can = ["refuses a second account of a userName (RFC 7643, 4.1)"]
        wrong = []
        if await self._filter_works():
            can.append("finds an account by a filter")
        else:
            so = "accounts in doubt are looked for in a full list"
            wrong.append(Deviation("ignores the filter", so))
        if answers.rows(await self._http.ask("GET", "/Groups?startIndex=1&count=1")) is None:
            wrong.append(Deviation("has no groups", "who is to be in one is not created"))
        return Check(True, tuple(can), tuple(wrong))

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]:
        if await self._filter_works():
            return await asyncio.gather(*(self._find_one(one) for one in wanted))
        return await self._listing.find(wanted, self._judge)

    async def create(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]:
        return await asyncio.gather(*(self._create_one(one) for one in wanted))

    async def join(self, members: Sequence[Member]) -> Sequence[Outcome]:
        """One request a group and member (RFC 7644, 3.5.2.1); a group must be there."""
        return await asyncio.gather(*(self._join_one(one) for one in members))

    async def set_password(self, entry_id: str, password: str) -> Outcome:
        return await self._patch(entry_id, "password", password)

    async def disable(self, entry_id: str) -> Outcome:
        return await self._patch(entry_id, "active", False)

    async def delete(self, entry_id: str) -> Outcome:
        if not _is_one(entry_id):
            return _NO_ID
        answer = await self._http.ask("DELETE", _user(entry_id))
        return changed(answer, entry_id)

    async def close(self) -> None:
        await self._http.close()

    async def _create_one(self, one: Wanted) -> Outcome:
        answer = await self._http.ask("POST", "/Users", _body(one))
        self._listing.called(one.tag)
        outcome = answers.created(answer, one.password)
        if outcome.kind is OutcomeKind.CREATED:
            self._keeps_tags = answer.resource().get("externalId") == one.tag
        return outcome

    async def _join_one(self, one: Member) -> Outcome:
        for group in one.groups:
            asked = quote(f"displayName eq {json.dumps(group)}", safe="")
            found = answers.rows(await self._http.ask("GET", f"/Groups?filter={asked}"))
            mine = [row for row in found or () if row.get("displayName") == group]
            if not mine:
                detail = f"there is no group {group}; make it at the directory"
                return Outcome(OutcomeKind.REJECTED, one.entry_id, "no such group", detail)
            operation = {"op": "add", "path": "members", "value": [{"value": one.entry_id}]}
            body = {"schemas": [_PATCH], "Operations": [operation]}
            path = f"/Groups/{quote(str(mine[0].get('id', '')), safe='')}"
            outcome = changed(await self._http.ask("PATCH", path, body), one.entry_id)
            if outcome.kind is not OutcomeKind.CREATED:
                return outcome
        return Outcome(OutcomeKind.CREATED, one.entry_id)

    async def _find_one(self, one: Wanted) -> Sighting:
        answer = await self._http.ask("GET", _by_name(one.person.username))
        rows = answers.rows(answer)
        if rows is None:
            return unsure(answer)
        return self._judge(one, rows)

    def _judge(self, one: Wanted, rows: Sequence[Mapping[str, Any]]) -> Sighting:
        """Whose the entry is that bears this name, among rows that may be anybody's."""
        name = one.person.username.casefold()
        mine = [row for row in rows if str(row.get("userName", "")).casefold() == name]
        if not mine:
            return Sighting(Whose.NOBODY)
        entry_id, tag = str(mine[0].get("id", "")), mine[0].get("externalId")
        if tag == one.tag:
            return Sighting(Whose.OURS, entry_id)
        if isinstance(tag, str) and tag.startswith("botrix:"):
            return Sighting(Whose.OTHER_JOB, entry_id)
        if tag is None and self._keeps_tags is not True:
            if one.unguessable:  # nobody else can have come to this name
                return Sighting(Whose.OURS, entry_id)
            if self._keeps_tags is False:
                return Sighting(Whose.UNPROVEN, entry_id, "the directory keeps no externalId")
        return Sighting(Whose.FOREIGN, entry_id)

    async def _filter_works(self) -> bool:
        """Asks once for a name that cannot exist; a server that then shows anybody ignores the
        filter. Not decided while the server does not answer: the filter is then tried."""
        async with self._probing:
            if self._filters is None:
                answer = await self._http.ask("GET", _by_name(f"probe-{secrets.token_hex(16)}"))
                rows = answers.rows(answer)
                if rows is not None:
                    self._filters = not rows
                elif answer.status in (400, 403, 404, 405, 501):
                    self._filters = False
            return self._filters is not False

    async def _patch(self, entry_id: str, path: str, value: object) -> Outcome:
        if not _is_one(entry_id):
            return _NO_ID
        operation = {"op": "replace", "path": path, "value": value}
        body = {"schemas": [_PATCH], "Operations": [operation]}
        answer = await self._http.ask("PATCH", _user(entry_id), body)
        return changed(answer, entry_id, str(value) if path == "password" else "")


def _is_one(entry_id: str) -> bool:
    """Whether its path names an entry: without an id it is that of all, and dots lead upwards."""
    return entry_id not in ("", ".", "..")


def _user(entry_id: str) -> str:
    return f"/Users/{quote(entry_id, safe='')}"


def _by_name(username: str) -> str:
    return f"/Users?filter={quote(f'userName eq {json.dumps(username)}', safe='')}"


def _body(one: Wanted) -> dict[str, object]:
    person = one.person
    name = {"givenName": person.given_name, "familyName": person.family_name}
    return {
        "schemas": [_USER],
        "externalId": one.tag,
        "userName": person.username,
        "name": {key: value for key, value in name.items() if value},
        "displayName": person.display_name,
        "emails": [{"value": person.email, "type": "work", "primary": True}],
        "active": True,
        "password": one.password,
    }
