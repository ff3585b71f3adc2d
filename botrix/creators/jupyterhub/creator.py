"""The `jupyterhub` directory: a JupyterHub 2 or later, through its REST API with a service's token.

An account is a user of the hub; the unique key is its name. A hub keeps neither tags nor passwords
of its own accord, but has a place for what an authenticator knows of a user, encrypted: the
auth_state. There both are kept, and `deployment/jupyterhub/botrix_seats.py` is the authenticator
that lets people in by it. With any other, `check` says that the passwords revealed let nobody in.

A user cannot be created with an auth_state, but can be given one and a new name in the same
request. So each is created under a name made of its tag and renamed as the last step: whoever bears
the wanted name without our tag is not ours, whenever a worker dies. `find` first removes what was
not renamed, so that no late request can finish it behind our back, and only then looks. (A request
that is later still leaves a user `botrix-<32 hex>`, whom nobody can sign in as.)

Nobody is made an admin. A hub cannot disable a user; without a password nobody signs in as one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from botrix.creators.creator import (
    Check,
    Deviation,
    Entries,
    Entry,
    Member,
    Sighting,
    Wanted,
    Whose,
)
from botrix.creators.declared import sealed
from botrix.creators.gate import Gate
from botrix.creators.jupyterhub import settings
from botrix.creators.jupyterhub import state as hub
from botrix.creators.jupyterhub.declared import SETTINGS
from botrix.creators.web.answer import CREDENTIALS, Answer, changed, not_done
from botrix.creators.web.http import Http
from botrix.model import Outcome, OutcomeKind

SEALED = sealed(SETTINGS)
DEMANDS_A_CHANGE = False
GATED = True
_SCOPES = "admin:users, groups and read:hub"
_PAGE = 50
_GUIDE = "see deployment/jupyterhub/README.md"
_NO_ENTRY = Outcome(OutcomeKind.REJECTED, reason="no such entry")


async def open_creator(config: Mapping[str, Any], timeout: float, gate: Gate) -> HubCreator:
    """config: see settings.py. Raises DirectoryError for settings that cannot be used."""
    return HubCreator(Http(settings.read(config), timeout, gate))


class HubCreator:
    """See above."""

    kind = "jupyterhub"
    unique_key = "name"
    batch = 8
    concurrency = 4

    def __init__(self, http: Http) -> None:
        self._http = http
        self._groups: set[str] = set()

    async def check(self) -> Check:
        """Asks who we are, what that lets us do, and how people sign in."""
        said = await self._http.ask("GET", "/user")
        if said.status in (401, 403):
            return Check(False, problem=CREDENTIALS)
        scopes = said.resource().get("scopes")
        if said.status != 200 or not isinstance(scopes, list):
            problem = f"no JupyterHub 2 or later at {self._http.shown}: {said.shown()}"
            return Check(False, problem=problem)
        if "admin:users" not in scopes:
            problem = f"the token may not create users; give its role the scopes {_SCOPES}"
            return Check(False, problem=problem)
        can, wrong = ["refuses a second user of a name", "keeps tags in the auth_state"], []
        if "groups" in scopes:
            can.append("puts users into groups")
        else:
            so = "who is to be in one is not created; give the token's role the scope groups"
            wrong.append(Deviation("has no groups for this token", so))
        signing_in = await self._signing_in()
        can += () if signing_in else ("lets people in by the passwords revealed",)
        return Check(True, tuple(can), (*wrong, *signing_in))

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]:
        return await asyncio.gather(*(self._find_one(one) for one in wanted))

    async def ours(self, after: str | None) -> Entries:
        """A list shows no auth_state, so each user of a page is asked for."""
        first = int(after or 0)
        answer = await self._http.ask("GET", f"/users?offset={first}&limit={_PAGE}")
        listed = answer.read()
        if answer.status != 200 or not isinstance(listed, list):
            return Entries(problem=f"the users could not be listed: {answer.shown()}")
        names = [str(user.get("name", "")) for user in listed if isinstance(user, dict)]
        found = await asyncio.gather(*(self._entry(name) for name in names))
        if failed := next((one for one in found if isinstance(one, Answer)), None):
            return Entries(problem=f"a user could not be read: {failed.shown()}")
        ours = [one for one in found if isinstance(one, Entry) and one.is_of_botrix]
        return Entries(ours, str(first + len(listed)) if listed else None)

    async def create(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]:
        """One request for all users under their first names, then one for each."""
        refused = [await self._refused(one) for one in wanted]
        able = [one for one, no in zip(wanted, refused, strict=True) if no is None]
        made = iter(await self._create_able(able) if able else ())
        return [next(made) if no is None else no for no in refused]

    async def join(self, members: Sequence[Member]) -> Sequence[Outcome]:
        """One request a group."""
        failed: dict[str, Outcome] = {}
        for group in sorted({group for one in members for group in one.groups}):
            mine = [one for one in members if group in one.groups]
            names = [hub.parted(one.entry_id)[0] for one in mine]
            path = f"/groups/{quote(group, safe='')}/users"
            answer = await self._http.ask("POST", path, {"users": names}, operations=len(mine))
            for one in mine:
                outcome = _no_group(group) if _absent(answer) else changed(answer, one.entry_id)
                if outcome.kind is not OutcomeKind.CREATED:
                    failed.setdefault(one.entry_id, outcome)
        done = OutcomeKind.CREATED
        return [failed.get(one.entry_id) or Outcome(done, one.entry_id) for one in members]

    async def set_password(self, entry_id: str, password: str) -> Outcome:
        made = await asyncio.to_thread(hub.hashed, password)
        return await self._keep(entry_id, made)

    async def disable(self, entry_id: str) -> Outcome:
        return await self._keep(entry_id, None)

    async def delete(self, entry_id: str) -> Outcome:
        user = await self._same(entry_id)
        if isinstance(user, Outcome):
            return user
        return changed(await self._http.ask("DELETE", _user(user["name"])), entry_id)

    async def close(self) -> None:
        await self._http.close()

    async def _signing_in(self) -> tuple[Deviation, ...]:
        """What is to be told about it; nothing where it goes by what we keep."""
        said = await self._http.ask("GET", "/info")
        authenticator = said.resource().get("authenticator")
        named = authenticator.get("class") if isinstance(authenticator, dict) else None
        if isinstance(named, str) and named.endswith("SeatAuthenticator"):
            return ()
        what = f"people sign in as {named} says" if named else "does not tell how people sign in"
        so = f"the passwords revealed here let nobody in but by a SeatAuthenticator; {_GUIDE}"
        return (Deviation(what, so),)

    async def _find_one(self, one: Wanted) -> Sighting:
        name = hub.named(one.person.username)
        if hub.cannot_be(name):
            return Sighting(Whose.NOBODY)
        swept = await self._http.ask("DELETE", _user(hub.staged(one.tag)))
        if not _gone(swept):
            return _unsure(swept)
        answer = await self._http.ask("GET", _user(name))
        if _absent(answer):
            return Sighting(Whose.NOBODY)
        return hub.judge(one, answer.resource()) if answer.status == 200 else _unsure(answer)

    async def _entry(self, name: str) -> Entry | Answer | None:
        """None where it has gone meanwhile."""
        if hub.cannot_be(name):
            return None
        answer = await self._http.ask("GET", _user(name))
        if answer.status == 200 and not answer.problem:
            return hub.entry_of(answer.resource())
        return None if _absent(answer) else answer

    async def _refused(self, one: Wanted) -> Outcome | None:
        """Before anything is sent."""
        if detail := hub.cannot_be(hub.named(one.person.username)):
            return Outcome(OutcomeKind.REJECTED, None, "rejected", detail)
        for group in one.person.groups:
            if group not in self._groups:
                answer = await self._http.ask("GET", f"/groups/{quote(group, safe='')}")
                if _absent(answer):
                    return _no_group(group)
                if answer.status == 200:
                    self._groups.add(group)
        return None

    async def _create_able(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]:
        hashes = await asyncio.gather(*(asyncio.to_thread(hub.hashed, w.password) for w in wanted))
        names = [hub.staged(one.tag) for one in wanted]
        answer = await self._http.ask("POST", "/users", {"usernames": names}, operations=len(names))
        if answer.status not in (201, 409):  # 409: all of them are there from an earlier try
            return await asyncio.gather(*(self._swept(one, not_done(answer)) for one in wanted))
        pairs = zip(wanted, hashes, strict=True)
        return await asyncio.gather(*(self._finish(one, made) for one, made in pairs))

    async def _finish(self, one: Wanted, password_hash: str) -> Outcome:
        """The auth_state comes first: the hub follows this order, and what it has stored when it
        ends in the middle is then not yet called by the wanted name."""
        name = hub.named(one.person.username)
        body = {"auth_state": hub.state(one.tag, password_hash), "name": name}
        answer = await self._http.ask("PATCH", _user(hub.staged(one.tag)), body)
        entry = hub.entry_id(answer.resource())
        if answer.status == 200 and entry:
            return Outcome(OutcomeKind.CREATED, entry)
        outcome = not_done(answer, password_hash)
        if outcome.kind is OutcomeKind.REJECTED and answer.status == 400:
            taken = (await self._http.ask("GET", _user(name))).status == 200
            if taken:
                outcome = Outcome(OutcomeKind.CONFLICT, None, "name taken", outcome.detail)
            return await self._swept(one, outcome)
        detail = outcome.detail
        if answer.status == 500:
            detail = f"{detail}; has the hub a JUPYTERHUB_CRYPT_KEY, which auth_state needs?"
        return replace(outcome, kind=OutcomeKind.UNKNOWN, detail=detail)

    async def _swept(self, one: Wanted, outcome: Outcome) -> Outcome:
        """What was refused for good leaves nothing behind; else it is unknown, and `find` sees."""
        if outcome.kind in (OutcomeKind.RETRY, OutcomeKind.UNKNOWN):
            return outcome
        swept = await self._http.ask("DELETE", _user(hub.staged(one.tag)))
        return outcome if _gone(swept) else replace(outcome, kind=OutcomeKind.UNKNOWN)

    async def _keep(self, entry_id: str, password_hash: str | None) -> Outcome:
        user = await self._same(entry_id)
        if isinstance(user, Outcome):
            return user
        body = {"auth_state": hub.with_password(hub.kept(user), password_hash)}
        return changed(await self._http.ask("PATCH", _user(user["name"]), body), entry_id)

    async def _same(self, entry_id: str) -> dict[str, Any] | Outcome:
        """The user as it is, if it is the one that was created."""
        name, _ = hub.parted(entry_id)
        if hub.cannot_be(name):
            return _NO_ENTRY
        answer = await self._http.ask("GET", _user(name))
        if answer.status == 200 and not answer.problem:
            user = answer.resource()
            return user if hub.entry_id(user) == entry_id else _NO_ENTRY
        return _NO_ENTRY if _absent(answer) else not_done(answer)


def _user(name: str) -> str:
    return f"/users/{quote(name, safe='')}"


def _absent(answer: Answer) -> bool:
    """Whether the hub itself says so, and not a proxy before it."""
    return answer.status == 404 and answer.resource().get("status") == 404


def _gone(answer: Answer) -> bool:
    return answer.status == 204 or _absent(answer)


def _no_group(group: str) -> Outcome:
    detail = f"there is no group {group}; make it at the hub"
    return Outcome(OutcomeKind.REJECTED, None, "no such group", detail)


def _unsure(answer: Answer) -> Sighting:
    detail = f"the user could not be read: {answer.shown()}"
    counted = not answer.patience()
    return Sighting(Whose.UNSURE, None, detail, counted=counted, retry_after=answer.after)
