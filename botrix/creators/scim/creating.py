"""Creating a batch: first what it needs to be there is looked up, then all that can be are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from botrix.creators.creator import Wanted
from botrix.creators.scim import answers
from botrix.creators.scim.bulk import Bulk, Row
from botrix.creators.scim.groups import Groups, no_group, unreadable
from botrix.creators.scim.known import Known
from botrix.creators.scim.listing import Listing
from botrix.creators.scim.lookup import Found, Lookup
from botrix.creators.scim.resource import resource, wants_manager
from botrix.creators.web.answer import Answer
from botrix.creators.web.http import Http
from botrix.model import Outcome, OutcomeKind

_MOST_KEPT = 1000


class Creating:
    """Of one server."""

    def __init__(
        self, http: Http, known: Known, bulk: Bulk, groups: Groups, listing: Listing
    ) -> None:
        self._known = known
        self._bulk = bulk
        self._groups = groups
        self._listing = listing
        self._managers = Lookup(http, known, "/Users", "userName", folded=True)
        self._errors: dict[str, None] = {}

    async def create(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        await self._known.read()
        groups = await self._groups.find(g for one in wanted for g in one.person.groups)
        managers = await self._managers.find(filter(None, map(self._manager, wanted)))
        outcomes = [self._impossible(one, groups, managers) for one in wanted]
        rest = [n for n, outcome in enumerate(outcomes) if outcome is None]
        made = await self._make([wanted[n] for n in rest], managers)
        for n, outcome in zip(rest, made, strict=True):
            outcomes[n] = outcome
        return [outcome for outcome in outcomes if outcome is not None]

    def seen_of_another(self, tag: str) -> None:
        """The entry of this account's name is not its own: then an error of the server, if that was
        the answer to its create, stood for a duplicate."""
        if tag in self._errors:
            self._known.duplicate_is_500 = True

    def _impossible(
        self, one: Wanted, groups: Mapping[str, Found], managers: Mapping[str, Found]
    ) -> Outcome | None:
        """What keeps this account from being created, before anything was done."""
        for group in one.person.groups:
            found = groups[group]
            if not isinstance(found, str):
                return no_group(group, found)
        if one.person.attributes and self._known.undecided is not None:
            return unreadable("schemas", self._known.undecided)
        if manager := self._manager(one):
            found = managers[manager]
            if found is None:
                detail = f"there is no user {manager} at the directory"
                return Outcome(OutcomeKind.REJECTED, None, "no such manager", detail)
            if not isinstance(found, str):
                return unreadable("users", found)
        return None

    async def _make(self, wanted: Sequence[Wanted], managers: Mapping[str, Found]) -> list[Outcome]:
        primary = self._known.primary
        told = await self._post(wanted, managers, primary)
        if primary:
            await self._without_primary(wanted, managers, told)
        outcomes = []
        for one, answer in zip(wanted, told, strict=True):
            outcome = answers.created(_masked(answer, wanted), one.password)
            self._learn(one, answer, outcome)
            outcomes.append(outcome)
        return outcomes

    async def _post(
        self, wanted: Sequence[Wanted], managers: Mapping[str, Found], primary: bool
    ) -> list[Answer]:
        rows = [
            Row(one.tag, f"{one.tag}:{n}", self._resource(one, managers, primary))
            for n, one in enumerate(wanted)
        ]
        told = await self._bulk.post(rows)
        for one in wanted:
            self._listing.called(one.tag)
        return told

    async def _without_primary(
        self, wanted: Sequence[Wanted], managers: Mapping[str, Found], told: list[Answer]
    ) -> None:
        """Those that were refused for it, once more; where that helps, it is not sent again."""
        refused = [n for n, answer in enumerate(told) if answers.refuses_primary(answer)]
        if not refused:
            return
        again = await self._post([wanted[n] for n in refused], managers, primary=False)
        if any(answer.status in (200, 201) for answer in again):
            self._known.primary = False
        for n, answer in zip(refused, again, strict=True):
            told[n] = answer

    def _resource(
        self, one: Wanted, managers: Mapping[str, Found], primary: bool
    ) -> dict[str, Any]:
        manager = managers.get(self._manager(one))
        found = manager if isinstance(manager, str) else None
        return resource(one, self._known.schemas, found, primary=primary)

    def _manager(self, one: Wanted) -> str:
        return wants_manager(one, self._known.schemas)

    def _learn(self, one: Wanted, answer: Answer, outcome: Outcome) -> None:
        said = answer.resource()
        if outcome.kind is OutcomeKind.CREATED and "userName" in said:
            self._known.tags = said.get("externalId") == one.tag
        self._errors.pop(one.tag, None)
        if answer.status == 500:
            self._errors[one.tag] = None
            if len(self._errors) > _MOST_KEPT:
                del self._errors[next(iter(self._errors))]


def _masked(answer: Answer, wanted: Sequence[Wanted]) -> Answer:
    """Without what it says, should that repeat a password of the batch."""
    if answer.status in (200, 201) or len(wanted) == 1:
        return answer
    said = "\n".join(str(value) for value in answer.resource().values())
    return replace(answer, body=b"") if any(one.password in said for one in wanted) else answer
