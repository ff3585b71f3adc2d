"""Putting entries into groups (RFC 7643, 4.2): each group is looked up once, and gets all members
of a batch by one request."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from botrix.creators.creator import Member
from botrix.creators.scim.changing import Changing, Operation
from botrix.creators.scim.known import Known
from botrix.creators.scim.lookup import Found, Lookup
from botrix.creators.web.answer import Answer, changed
from botrix.creators.web.http import Http
from botrix.model import Outcome, OutcomeKind


class Groups:
    """Of one server."""

    def __init__(self, http: Http, known: Known, changing: Changing) -> None:
        self._changing = changing
        self._lookup = Lookup(http, known, "/Groups", "displayName")
        self._writing: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def find(self, names: Iterable[str]) -> dict[str, Found]:
        return await self._lookup.find(names)

    async def join(self, members: Sequence[Member]) -> list[Outcome]:
        """What became of it in the first group that did not take the member, if any did not."""
        wanted: dict[str, list[Member]] = defaultdict(list)
        for one in members:
            for group in one.groups:
                wanted[group].append(one)
        joined = await asyncio.gather(*(self._fill(name, ones) for name, ones in wanted.items()))
        failed: dict[str, Outcome] = {}
        for outcomes in joined:
            failed.update((key, o) for key, o in outcomes.items() if not _done(o))
        return [failed.get(m.entry_id, _joined(m)) for m in members]

    async def _fill(self, name: str, members: Sequence[Member]) -> dict[str, Outcome]:
        """By entry id. A group that is gone may have been made anew under its name."""
        for _ in range(2):
            found = (await self._lookup.find([name]))[name]
            if not isinstance(found, str):
                return {m.entry_id: no_group(name, found, m.entry_id) for m in members}
            if outcomes := await self._take_in(found, members):
                return outcomes
            self._lookup.forget(name)
        return {m.entry_id: no_group(name, None, m.entry_id) for m in members}

    async def _take_in(self, group_id: str, members: Sequence[Member]) -> dict[str, Outcome]:
        """None of them where the group is gone. One by one where they were refused together: a
        member that is none keeps no other out."""
        answer = await self._add(group_id, members)
        if answer.status == 404 and not answer.problem:
            return {}
        outcomes = {m.entry_id: changed(answer, m.entry_id) for m in members}
        refused = any(o.kind is OutcomeKind.REJECTED for o in outcomes.values())
        if refused and len(members) > 1:
            for one in members:
                outcomes[one.entry_id] = changed(await self._add(group_id, [one]), one.entry_id)
        return outcomes

    async def _add(self, group_id: str, members: Sequence[Member]) -> Answer:
        added = [{"value": one.entry_id} for one in members]

        def edit(group: dict[str, Any]) -> None:
            there = group.get("members")
            kept = [m for m in there if isinstance(m, dict)] if isinstance(there, list) else []
            values = {member.get("value") for member in kept}
            group["members"] = kept + [m for m in added if m["value"] not in values]

        operation: Operation = {"op": "add", "path": "members", "value": added}
        path = f"/Groups/{quote(group_id, safe='')}"
        async with self._writing[group_id]:
            return await self._changing.change(path, [operation], edit, len(members))


def no_group(name: str, found: Answer | None, entry_id: str | None = None) -> Outcome:
    """Of an account that wants a group of which there is no one id."""
    if found is None:
        detail = f"there is no group {name}, or more than one; make it at the directory"
        return Outcome(OutcomeKind.REJECTED, entry_id, "no such group", detail)
    return unreadable("groups", found, entry_id)


def unreadable(what: str, answer: Answer, entry_id: str | None = None) -> Outcome:
    """Nothing was done yet."""
    detail = f"the {what} could not be read: {answer.shown()}"
    kind, counted = OutcomeKind.RETRY, not answer.patience()
    return Outcome(kind, entry_id, f"{what} unread", detail, answer.after, counted)


def _joined(member: Member) -> Outcome:
    return Outcome(OutcomeKind.CREATED, member.entry_id)


def _done(outcome: Outcome) -> bool:
    return outcome.kind is OutcomeKind.CREATED
