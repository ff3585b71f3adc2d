"""Looking accounts up in one full list, for a server whose filter does not work.

The list is fetched once for many look-ups, never once for each account: that would never end. It
must be younger than the last call made for an account; one that misses an entry does no harm, since
the server itself refuses a second one of the name.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from botrix.creators.creator import Entry, Sighting, Wanted, Whose
from botrix.creators.scim.known import Known
from botrix.creators.scim.paging import NotListed, pages
from botrix.creators.scim.resource import entry_of
from botrix.creators.web.answer import Answer
from botrix.creators.web.http import Http

_FRESH = 60.0

Judge = Callable[[Wanted, Sequence[Entry]], Sighting]


class Listing:
    """All users by name, each as small as can be."""

    def __init__(self, http: Http, known: Known) -> None:
        self._http = http
        self._known = known
        self._lock = asyncio.Lock()
        self._began = -_FRESH
        self._by_name: dict[str, list[Entry]] = {}
        self._calls: dict[str, float] = {}

    def called(self, tag: str) -> None:
        """A call for this account has just ended: a list that began before cannot tell of it."""
        now = time.monotonic()
        self._calls[tag] = now
        if len(self._calls) > 10_000:
            self._calls = {t: at for t, at in self._calls.items() if now - at < _FRESH}

    async def find(self, wanted: Sequence[Wanted], judge: Judge) -> list[Sighting]:
        oldest = time.monotonic() - _FRESH
        since = max(self._calls.get(one.tag, oldest) for one in wanted)
        async with self._lock:
            if self._began <= since:
                try:
                    await self._fetch()
                except NotListed as failed:
                    return [unsure(failed.answer)] * len(wanted)
            found = [self._by_name.get(one.person.username.casefold(), []) for one in wanted]
        return [judge(one, entries) for one, entries in zip(wanted, found, strict=True)]

    async def _fetch(self) -> None:
        began, listed = time.monotonic(), dict[str, list[Entry]]()
        async for rows in pages(self._http, self._known, "/Users"):
            for row in rows:
                entry = entry_of(row, self._known.schemas)
                listed.setdefault(entry.username.casefold(), []).append(entry)
        self._began, self._by_name = began, listed


def unsure(answer: Answer) -> Sighting:
    """Of an answer that tells nothing about any user."""
    detail = f"the users could not be read: {answer.shown()}"
    return Sighting(
        Whose.UNSURE, None, detail, counted=not answer.patience(), retry_after=answer.after
    )
