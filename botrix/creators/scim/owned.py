"""Lists the users that bear a tag of Botrix: by a filter where the server has it, else all of them;
each row is looked at here in any case."""

from __future__ import annotations

from urllib.parse import quote

from botrix.creators.creator import Entries
from botrix.creators.scim.known import Known
from botrix.creators.scim.paging import NotListed, Page, page_at
from botrix.creators.scim.resource import entry_of
from botrix.creators.web.http import Http

_FILTER = quote('externalId sw "botrix:"', safe="")
_FILTERED, _WHOLE = f"/Users?filter={_FILTER}", "/Users"
_NO_SUCH_FILTER = frozenset({400, 403, 404, 405, 501})


class Owned:
    """Of one server. What follows a page begins with a letter: whether it was filtered."""

    def __init__(self, http: Http, known: Known) -> None:
        self._http = http
        self._known = known

    async def page(self, after: str | None) -> Entries:
        await self._known.read()
        if self._known.tags is False:
            problem = "the directory keeps no externalId, so it cannot tell what is ours"
            return Entries(problem=problem, keeps_tags=False)
        try:
            way, page = await (self._first() if after is None else self._at(after[0], after[1:]))
        except NotListed as failed:
            return Entries(problem=f"the users could not be listed: {failed.answer.shown()}")
        entries = (entry_of(row, self._known.schemas) for row in page.rows)
        ours = [entry for entry in entries if entry.is_of_botrix]
        return Entries(ours, f"{way}{page.next}" if page.next else None)

    async def _first(self) -> tuple[str, Page]:
        if await self._known.filter_works():
            try:
                return await self._at("f", "")
            except NotListed as failed:
                if failed.answer.status not in _NO_SUCH_FILTER:
                    raise
        return await self._at("w", "")

    async def _at(self, way: str, at: str) -> tuple[str, Page]:
        path = _FILTERED if way == "f" else _WHOLE
        return way, await page_at(self._http, self._known, path, at)
