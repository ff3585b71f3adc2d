"""The `keycloak` directory: a realm of Keycloak, through its Admin REST API.

The unique key is `username`, which is kept in lower case; an attribute carries the tag. Accounts
are created one by one, each with its password: the import of many at once would overwrite
passwords, or roll all of them back. Every row of an answer is checked here again. An e-mail address
is unique in a realm, too, so a refusal as a duplicate may be of either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import structs

from botrix.creators.creator import Check, Entries, Member, Sighting, Wanted, Whose
from botrix.creators.declared import sealed
from botrix.creators.gate import Gate
from botrix.creators.keycloak import settings, users
from botrix.creators.keycloak.checking import look_at
from botrix.creators.keycloak.declared import SETTINGS
from botrix.creators.keycloak.groups import Groups
from botrix.creators.keycloak.realm import Realm
from botrix.creators.web.answer import Answer
from botrix.creators.web.http import Http
from botrix.model import Outcome, OutcomeKind

SEALED = sealed(SETTINGS)
DEMANDS_A_CHANGE = True
GATED = True
_NO_ID = Outcome(OutcomeKind.UNKNOWN, None, "no usable id", "the directory gave no usable id")
_MOST_REMEMBERED = 10_000
_PAGE = 100


async def open_creator(config: Mapping[str, Any], timeout: float, gate: Gate) -> KeycloakCreator:
    """config: see settings.py. Raises DirectoryError for settings that cannot be used."""
    read = settings.read(config)
    return KeycloakCreator(Http(read.web, timeout, gate), read)


class KeycloakCreator:
    """See above."""

    kind = "keycloak"
    unique_key = "username"
    batch = 8
    concurrency = 16

    def __init__(self, http: Http, read: settings.KeycloakSettings) -> None:
        self._http = http
        self._settings = read
        self._path = read.path
        self._realm = Realm(http, read)
        self._groups = Groups(http, read.path)
        self._joined: set[tuple[str, tuple[str, ...]]] = set()

    async def check(self) -> Check:
        return await look_at(self._http, self._settings, self._realm)

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]:
        return await asyncio.gather(*(self._find_one(one) for one in wanted))

    async def ours(self, after: str | None) -> Entries:
        """Of all users, since one attribute can only be searched for by its whole value."""
        tag = self._settings.tag_attribute
        if await self._realm.tells() is False:
            problem = f"the realm drops the attribute {tag}, so it cannot tell what is ours"
            return Entries(problem=problem, keeps_tags=False)
        first = int(after or 0)
        answer = await self._ask_for(users.listed(first, _PAGE))
        rows = users.rows(answer)
        if rows is None:
            return Entries(problem=f"the users could not be listed: {answer.shown()}")
        entries = (users.entry_of(row, tag) for row in rows)
        ours = [entry for entry in entries if entry.is_of_botrix]
        return Entries(ours, str(first + len(rows)) if rows else None)

    async def create(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]:
        problem = await self._realm.problem()
        if problem is not None:
            return [problem] * len(wanted)
        return await asyncio.gather(*(self._create_one(one) for one in wanted))

    async def join(self, members: Sequence[Member]) -> Sequence[Outcome]:
        return await asyncio.gather(*(self._join_one(one) for one in members))

    async def set_password(self, entry_id: str, password: str) -> Outcome:
        """Who has yet to choose a password must still do so."""

        async def put(user: dict[str, Any]) -> Answer:
            demanded = users.MUST_CHANGE in (user.get("requiredActions") or ())
            path = f"{self._path}{users.path(entry_id)}/reset-password"
            return await self._http.ask("PUT", path, users.credential(password, demanded))

        return await self._change(entry_id, put, password)

    async def disable(self, entry_id: str) -> Outcome:
        """The whole user is put back, for there are versions in which a part loses attributes."""

        async def put(user: dict[str, Any]) -> Answer:
            path = self._path + users.path(entry_id)
            return await self._http.ask("PUT", path, {**user, "enabled": False})

        return await self._change(entry_id, put)

    async def delete(self, entry_id: str) -> Outcome:
        if not users.is_one(entry_id):
            return _NO_ID
        answer = await self._http.ask("DELETE", self._path + users.path(entry_id))
        return users.done_or_not(answer, entry_id)

    async def close(self) -> None:
        await self._http.close()

    async def _create_one(self, one: Wanted) -> Outcome:
        names = one.person.groups
        groups = await self._groups.all(names)
        if isinstance(groups, Outcome):
            return groups
        said = users.body(one, self._settings.tag_attribute, [group.path for group in groups])
        answer = await self._http.ask("POST", f"{self._path}/users", said)
        outcome = users.created(answer, one.password)
        if outcome.kind is OutcomeKind.CONFLICT:
            return await self._taken(one, outcome)
        if outcome.kind is not OutcomeKind.CREATED:
            self._groups.forget(names)  # one that is gone makes an error of the server
            return outcome
        await self._realm.read_back(outcome.entry_id or "", one.tag)
        if names:
            self._remember(outcome.entry_id or "", names)
        return outcome

    async def _taken(self, one: Wanted, outcome: Outcome) -> Outcome:
        """The name, or only the e-mail address: whatever the message says, for it names just one
        of them. Somebody who has the address will not be seen under the name."""
        found = users.rows(await self._ask_for(users.by_name(one.person.username)))
        if found is None or users.named(found, one.person.username):
            return outcome
        email = one.person.email
        found = users.rows(await self._ask_for(users.by_email(email)))
        if not any(str(row.get("email", "")).lower() == email.lower() for row in found or ()):
            return outcome
        detail = f"another account has the e-mail address {email[:100]}; give another one"
        return Outcome(OutcomeKind.REJECTED, None, "e-mail taken", detail)

    async def _find_one(self, one: Wanted) -> Sighting:
        answer = await self._ask_for(users.by_name(one.person.username))
        found = users.rows(answer)
        if found is None:
            return users.unsure(answer)
        tag = self._settings.tag_attribute
        seen = users.judge(one, found, tag, keeps=True)
        if seen.whose is not Whose.FOREIGN:
            return seen
        return users.judge(one, found, tag, await self._realm.tells())

    async def _join_one(self, one: Member) -> Outcome:
        if (one.entry_id, one.groups) in self._joined:  # since it was created
            self._joined.discard((one.entry_id, one.groups))
            return Outcome(OutcomeKind.CREATED, one.entry_id)
        if not users.is_one(one.entry_id):
            return _NO_ID
        groups = await self._groups.all(one.groups)
        if isinstance(groups, Outcome):
            return structs.replace(groups, entry_id=one.entry_id)
        for group in groups:
            path = f"{self._path}{users.path(one.entry_id)}/groups/{group.group_id}"
            outcome = users.done_or_not(await self._http.ask("PUT", path), one.entry_id)
            if outcome.kind is not OutcomeKind.CREATED:
                self._groups.forget(one.groups)
                return outcome
        return Outcome(OutcomeKind.CREATED, one.entry_id)

    def _remember(self, entry_id: str, groups: tuple[str, ...]) -> None:
        if len(self._joined) > _MOST_REMEMBERED:
            self._joined.clear()
        self._joined.add((entry_id, groups))

    async def _change(
        self,
        entry_id: str,
        put: Callable[[dict[str, Any]], Awaitable[Answer]],
        secret: str = "",
    ) -> Outcome:
        """Reads the user, then puts something."""
        if not users.is_one(entry_id):
            return _NO_ID
        answer = await self._http.ask("GET", self._path + users.path(entry_id))
        user = answer.resource()
        if answer.status != 200 or user.get("id") != entry_id:
            return users.not_read(answer)
        return users.done_or_not(await put(user), entry_id, secret)

    async def _ask_for(self, path: str) -> Answer:
        return await self._http.ask("GET", self._path + path)
