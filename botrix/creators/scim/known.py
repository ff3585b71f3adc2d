"""What is known of one SCIM server: what it says of itself, read once and kept, and what was learnt
while it was used. Where it could not be had it is asked for again, after a while."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from urllib.parse import quote

from botrix.creators.creator import Deviation
from botrix.creators.scim import answers
from botrix.creators.scim.discovery import Features, Schemas, read_features, read_schemas
from botrix.creators.scim.resource import left_out
from botrix.creators.web.answer import Answer
from botrix.creators.web.http import Http

_AGAIN = 30.0
_NEVER = -1e9


class Known:
    """schemas: None where the server has none that can be read; undecided: the answer that left it
    open whether it has. The rest is learnt: filters, tags: whether filters work and externalId is
    kept, None while nobody knows; the others turn when the server refuses it."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._reading = asyncio.Lock()
        self._probing = asyncio.Lock()
        self._tried_at = _NEVER
        self._configured = False
        self._complete = False
        self._described = False
        self.features = Features()
        self.schemas: Schemas | None = None
        self.undecided: Answer | None = None
        self.filters: bool | None = None
        self.tags: bool | None = None
        self.no_bulk = ""
        self.patches = True
        self.counts = True
        self.primary = True
        self.duplicate_is_500 = False
        self.apart = False

    async def read(self) -> None:
        """So that features and schemas are as the server says, if it answers. A request or two at
        the first call."""
        async with self._reading:
            if self._complete or time.monotonic() - self._tried_at < _AGAIN:
                return
            if self._configured or not _undecided(await self.configure()):
                said = await self._http.ask("GET", "/Schemas", optional=True)
                self.schemas = read_schemas(said.read()) if said.status == 200 else None
                if self.schemas is not None and not self.schemas.tags:
                    self.tags = False
                self.undecided = said if _undecided(said) else None
                self._complete = self.undecided is None
            self._tried_at = time.monotonic()

    async def configure(self) -> Answer:
        """The answer, whatever it says."""
        said = await self._http.ask("GET", "/ServiceProviderConfig", optional=True)
        if _undecided(said):
            self.undecided = said
            return said
        read = said.resource() if said.status == 200 else {}
        self._configured, self._described = True, bool(read)
        self.features = read_features(read)
        self.patches = self.patches and self.features.patch
        return said

    async def filter_works(self) -> bool:
        """Asks once for a name that cannot exist; a server that then shows anybody ignores the
        filter; where there is nobody yet, that is seen later. Not decided while the server does not
        answer: the filter is then tried."""
        async with self._probing:
            if self.filters is None:
                nobody = by_name(f"probe-{secrets.token_hex(16)}")
                answer = await self._http.ask("GET", f"/Users?filter={nobody}")
                rows = answers.rows(answer, counted=False)
                if rows is not None:
                    self.filters = not rows and self.features.filter
                elif answer.status in (400, 403, 404, 405, 501):
                    self.filters = False
            return self.filters is not False

    def can(self) -> list[str]:
        features = self.features
        lines = [
            (self.filters, "finds an account by a filter"),
            (features.cursor, "lists by cursor (RFC 9865)"),
            (features.etag, "guards what is replaced by its ETag"),
            (self.schemas and self.schemas.enterprise, "has the enterprise extension"),
        ]
        return [line for holds, line in lines if holds]

    def deviations(self) -> list[Deviation]:
        """Those that are known by now."""
        return [*self._of_itself(), *self._learnt()]

    def _of_itself(self) -> list[Deviation]:
        found = []
        if not self._described:
            so = "PATCH is tried, Bulk is not used"
            found.append(Deviation("has no ServiceProviderConfig", so))
        if self.schemas is None:
            so = "what every user has is sent; title, phone, department and the like are left out"
            found.append(Deviation("has no Schemas that can be read", so))
            return found
        if missing := left_out(self.schemas):
            found.append(Deviation(f"does not know {', '.join(missing)}", "they are left out"))
        if "password" not in self.schemas.user:
            so = "it is sent all the same; try whether one can sign in with it"
            found.append(Deviation("does not name password in its schema", so))
        return found

    def _learnt(self) -> list[Deviation]:
        guard = "by its ETag" if self.features.etag else "against nobody else's change meanwhile"
        lines = [
            (self.filters is False, "ignores the filter",
             "accounts in doubt are looked for in a full list"),
            (self.tags is False, "keeps no externalId",
             "an account in doubt is taken as ours only if its name was generated"),
            (not self.patches, "cannot PATCH",
             f"an entry is read, changed and PUT back whole, guarded {guard}"),
            (not self.counts, "refuses `count` in a list", "lists are asked for without"),
            (not self.primary, "refuses a primary e-mail", "it is sent without that word"),
            (self.apart, "holds names apart that differ in case",
             "an account is taken for one of exactly its name, where there is one"),
            (bool(self.no_bulk), f"announces Bulk and has none ({self.no_bulk})",
             "accounts are created one by one"),
            (self.duplicate_is_500, "answers a duplicate by an error of the server",
             "the account is looked for, as after any such error"),
        ]  # fmt: skip
        return [Deviation(what, so) for holds, what, so in lines if holds]


def by_name(value: str, attribute: str = "userName") -> str:
    """A filter for exactly this, quoted for a url."""
    return quote(f"{attribute} eq {json.dumps(value)}", safe="")


def _undecided(answer: Answer) -> bool:
    """Whether another time the server may say something else."""
    if answer.problem or answer.status in (0, 401, 408, 425, 429):
        return True
    return answer.status >= 500 and answer.status != 501
