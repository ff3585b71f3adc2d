"""Changing one resource: by PATCH, and where the server has none by reading it whole and putting it
back (RFC 7644, 3.5).

Only that PUT carries If-Match (3.14): it alone would undo what another changed since it was read.
A PATCH here sets one attribute or adds members, and a DELETE means the entry whatever it holds now:
there a tag would refuse what is wanted, and protect nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from botrix.creators.scim.known import Known
from botrix.creators.web.answer import Answer
from botrix.creators.web.http import Http

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_NO_PATCH = frozenset({405, 501})
_CHANGED_MEANWHILE = 412

Edit = Callable[[dict[str, Any]], None]
Operation = dict[str, object]


class Changing:
    """Of one server."""

    def __init__(self, http: Http, known: Known) -> None:
        self._http = http
        self._known = known

    async def change(
        self, path: str, operations: Sequence[Operation], edit: Edit, accounts: int = 1
    ) -> Answer:
        """The same, said as operations of a PATCH and as an edit of the whole."""
        await self._known.read()
        if self._known.patches:
            body = {"schemas": [PATCH], "Operations": list(operations)}
            answer = await self._http.ask("PATCH", path, body, operations=accounts)
            if answer.status not in _NO_PATCH or answer.problem:
                return answer
            self._known.patches = False
        answer = await self._replace(path, edit, accounts)
        if answer.status == _CHANGED_MEANWHILE:
            answer = await self._replace(path, edit, accounts)
        return answer

    async def _replace(self, path: str, edit: Edit, accounts: int) -> Answer:
        read = await self._http.ask("GET", path)
        whole = read.resource()
        if read.status != 200 or not whole:
            return read if read.status != 200 else Answer(0, problem="the entry cannot be read")
        version = read.headers.get("etag") or _version(whole)
        headers = {"If-Match": version} if self._known.features.etag and version else {}
        for theirs in ("meta", "groups"):
            whole.pop(theirs, None)
        edit(whole)
        return await self._http.ask("PUT", path, whole, headers=headers, operations=accounts)


def _version(whole: dict[str, Any]) -> str:
    """One that could not be sent in a header is none."""
    meta = whole.get("meta")
    said = meta.get("version") if isinstance(meta, dict) else None
    return said if isinstance(said, str) and said.isascii() and said.isprintable() else ""
