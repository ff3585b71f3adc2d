"""The ids of resources by a name of theirs, each looked up once and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from botrix.creators.scim import answers
from botrix.creators.scim.known import Known, by_name
from botrix.creators.scim.paging import NotListed, Row, pages
from botrix.creators.web.answer import Answer
from botrix.creators.web.http import Http

_MOST = 10_000
_NONE_HERE = frozenset({404, 405, 501})

Found = str | Answer | None
"""An id; or the answer that does not tell; or None, where there is none of the name, or several."""


class Lookup:
    """Of resources under `path`, by `attribute`. folded: names are the same in any case."""

    def __init__(
        self, http: Http, known: Known, path: str, attribute: str, *, folded: bool = False
    ) -> None:
        self._http = http
        self._known = known
        self._path = path
        self._attribute = attribute
        self._folded = folded
        self._ids: dict[str, str] = {}
        self._lock = asyncio.Lock()

    async def find(self, names: Iterable[str]) -> dict[str, Found]:
        wanted = {name: self._ids.get(self._key(name)) for name in names}
        if None not in wanted.values():
            return dict(wanted)
        async with self._lock:  # what several ask for is looked up by the first
            kept = {name: self._ids.get(self._key(name)) for name in wanted}
            missing = [name for name, entry_id in kept.items() if entry_id is None]
            found = await self._look_up(missing)
        return {**kept, **dict(zip(missing, found, strict=True))}

    def forget(self, name: str) -> None:
        self._ids.pop(self._key(name), None)

    async def _look_up(self, names: Sequence[str]) -> Sequence[Found]:
        if not names:
            return []
        if await self._known.filter_works():
            return await asyncio.gather(*(self._filtered(name) for name in names))
        return await self._listed(names)

    async def _filtered(self, name: str) -> Found:
        asked = f"{self._path}?filter={by_name(name, self._attribute)}"
        optional = self._path != "/Users"
        answer = await self._http.ask("GET", asked, optional=optional)
        rows = answers.rows(answer, counted=False)
        if rows is None:
            return None if answer.status in _NONE_HERE and not answer.problem else answer
        found = self._kept(name, rows)
        if rows and found is None:  # strangers: it may be on another page
            return (await self._listed([name]))[0]
        return found

    async def _listed(self, names: Sequence[str]) -> list[Found]:
        keys = {self._key(name) for name in names}
        rows: list[Row] = []
        try:
            async for page in pages(self._http, self._known, self._path):
                rows += [row for row in page if self._key(row.get(self._attribute)) in keys]
        except NotListed as failed:
            absent = failed.answer.status in _NONE_HERE and not failed.answer.problem
            return [None if absent else failed.answer] * len(names)
        return [self._kept(name, rows) for name in names]

    def _kept(self, name: str, rows: Sequence[Row]) -> str | None:
        """Which of two is meant nobody can tell: neither is."""
        key = self._key(name)
        ids = {row.get("id") for row in rows if self._key(row.get(self._attribute)) == key}
        entry_id = ids.pop() if len(ids) == 1 else None
        if not isinstance(entry_id, str) or entry_id in ("", ".", ".."):
            return None
        if len(self._ids) >= _MOST:
            self._ids.clear()
        self._ids[key] = entry_id
        return entry_id

    def _key(self, name: object) -> str:
        text = name if isinstance(name, str) else ""
        return text.casefold() if self._folded else text
