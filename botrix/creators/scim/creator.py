"""The `scim` directory: a SCIM 2.0 server, through its administrative interface (RFC 7643, 7644).

The unique key is `userName`; `externalId` carries the tag. Only an answer that can be read and
says so means created: a duplicate, an error of the server, a time-out or a body that makes no sense
leave the account unknown, and it is looked for. Every row of an answer is checked here again, since
there are servers that ignore the filter, and others that drop `externalId`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

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
from botrix.creators.scim import answers, settings
from botrix.creators.scim.bulk import Bulk
from botrix.creators.scim.changing import Changing, Edit, Operation
from botrix.creators.scim.creating import Creating
from botrix.creators.scim.declared import SETTINGS
from botrix.creators.scim.groups import Groups
from botrix.creators.scim.known import Known, by_name
from botrix.creators.scim.listing import Listing, unsure
from botrix.creators.scim.owned import Owned
from botrix.creators.scim.paging import first_page
from botrix.creators.scim.resource import entry_of
from botrix.creators.web.answer import CREDENTIALS, changed
from botrix.creators.web.http import Http
from botrix.model import Outcome, OutcomeKind

_MEDIA = "application/scim+json"
_BATCH = 8
SEALED = sealed(SETTINGS)
DEMANDS_A_CHANGE = False
GATED = True
_NO_ID = Outcome(OutcomeKind.UNKNOWN, None, "no usable id", "the directory gave no usable id")


async def open_creator(config: Mapping[str, Any], timeout: float, gate: Gate) -> ScimCreator:
    """config: see settings.py. Raises DirectoryError for settings that cannot be used."""
    http = Http(settings.read(config), timeout, gate, _MEDIA)
    return ScimCreator(http, gate, bulk=settings.read_bulk(config))


class ScimCreator:
    """See above."""

    kind = "scim"
    unique_key = "userName"
    concurrency = 16

    def __init__(self, http: Http, gate: Gate, *, bulk: bool = True) -> None:
        self._http = http
        self._known = Known(http)
        self._bulk = Bulk(http, self._known, gate, wanted=bulk)
        self._listing = Listing(http, self._known)
        self._owned = Owned(http, self._known)
        self._changing = Changing(http, self._known)
        self._groups = Groups(http, self._known, self._changing)
        self._creating = Creating(http, self._known, self._bulk, self._groups, self._listing)

    @property
    def batch(self) -> int:
        """More once it is known that the server has Bulk: read it before each batch."""
        return max(_BATCH, self._bulk.most)

    async def check(self) -> Check:
        """Asks for what the server says of itself, then whether the filter works, lists and groups
        can be read, and Bulk is there. Writes nothing."""
        await self._known.configure()
        listed = await first_page(self._http, self._known, "/Users")
        if answers.rows(listed, counted=False) is None:
            problem = f"no list of users at {self._http.shown}: {listed.shown()}"
            refused = listed.status in (401, 403)
            return Check(False, problem=f"{CREDENTIALS} ({listed.shown()})" if refused else problem)
        await self._known.read()
        await self._known.filter_works()
        await self._bulk.probe()
        can = ["refuses a second account of a userName (RFC 7643, 4.1)", *self._known.can()]
        if self._bulk.most:
            can.append(f"creates up to {self._bulk.most} accounts by one request (Bulk)")
        wrong = self._known.deviations()
        groups = await first_page(self._http, self._known, "/Groups")
        if answers.rows(groups, counted=False) is None:
            wrong.append(Deviation("has no groups", "who is to be in one is not created"))
        return Check(True, tuple(can), tuple(wrong))

    async def find(self, wanted: Sequence[Wanted]) -> Sequence[Sighting]:
        if await self._known.filter_works():
            return await asyncio.gather(*(self._find_one(one) for one in wanted))
        return await self._listing.find(wanted, self._judge)

    async def ours(self, after: str | None) -> Entries:
        return await self._owned.page(after)

    async def create(self, wanted: Sequence[Wanted]) -> Sequence[Outcome]:
        return await self._creating.create(wanted)

    async def join(self, members: Sequence[Member]) -> Sequence[Outcome]:
        return await self._groups.join(members)

    async def set_password(self, entry_id: str, password: str) -> Outcome:
        return await self._set(entry_id, "password", password, password)

    async def disable(self, entry_id: str) -> Outcome:
        return await self._set(entry_id, "active", False)

    async def delete(self, entry_id: str) -> Outcome:
        if not _is_one(entry_id):
            return _NO_ID
        answer = await self._http.ask("DELETE", _user(entry_id))
        return changed(answer, entry_id)

    async def close(self) -> None:
        await self._http.close()

    async def _find_one(self, one: Wanted) -> Sighting:
        answer = await self._http.ask("GET", f"/Users?filter={by_name(one.person.username)}")
        rows = answers.rows(answer, counted=False)
        if rows is None:
            return unsure(answer)
        seen = self._judge(one, [entry_of(row, self._known.schemas) for row in rows])
        if rows and seen.whose is Whose.NOBODY:  # strangers: it may be on another page
            self._known.filters = False
            return (await self._listing.find([one], self._judge))[0]
        return seen

    def _judge(self, one: Wanted, entries: Sequence[Entry]) -> Sighting:
        """Whose the entry is that bears this name, among those that may be anybody's. Exactly this,
        if there is such: some servers hold names apart that differ in case."""
        name = one.person.username
        mine = [entry for entry in entries if entry.username.casefold() == name.casefold()]
        mine.sort(key=lambda entry: entry.username != name)
        self._known.apart = self._known.apart or len(mine) > 1
        if not mine:
            return Sighting(Whose.NOBODY)
        found = mine[0]
        if found.tag == one.tag:
            return found.seen(Whose.OURS)
        self._creating.seen_of_another(one.tag)
        if found.is_of_botrix:
            return found.seen(Whose.OTHER_JOB)
        if found.tag is None and self._known.tags is not True:
            if one.unguessable:  # nobody else can have come to this name
                return found.seen(Whose.OURS)
            if self._known.tags is False or found.entry_id == one.entry_id:
                return found.seen(Whose.UNPROVEN, "the directory keeps no externalId")
        return found.seen(Whose.FOREIGN)

    async def _set(self, entry_id: str, name: str, value: object, secret: str = "") -> Outcome:
        if not _is_one(entry_id):
            return _NO_ID
        operation: Operation = {"op": "replace", "path": name, "value": value}
        edit: Edit = lambda user: user.update({name: value})  # noqa: E731
        answer = await self._changing.change(_user(entry_id), [operation], edit)
        return changed(answer, entry_id, secret)


def _is_one(entry_id: str) -> bool:
    """Whether its path names an entry: without an id it is that of all, and dots lead upwards."""
    return entry_id not in ("", ".", "..")


def _user(entry_id: str) -> str:
    return f"/Users/{quote(entry_id, safe='')}"
