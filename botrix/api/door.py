"""What every route works with: the services of this process, and the tenant that asks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, cast

from fastapi import Depends, Request

from botrix.api.problems import Problem
from botrix.api.rate import Rate
from botrix.api.submitting import Submitting
from botrix.api.who import Doorkeeper, Who, local
from botrix.errors import InvalidInput, NotFound
from botrix.ledger.keys import Keys
from botrix.ledger.ledger import DirectoryRow
from botrix.ledger.queries import Queries
from botrix.model import Scope
from botrix.services import Services


@dataclass(frozen=True, slots=True)
class Here:
    """What this process works with, and (within a request) who asks."""

    services: Services
    queries: Queries
    keys: Keys
    submitting: Submitting
    keeper: Doorkeeper
    rate: Rate
    who: Who = field(default_factory=lambda: local("this process"))

    @property
    def tenant(self) -> str:
        return self.who.tenant

    async def require_directory(self, name: str) -> DirectoryRow:
        """Raises InvalidInput, naming those there are."""
        row = await self.services.ledger.directory(self.tenant, name)
        if row is None:
            known = ", ".join(row["name"] for row in await self.queries.directories(self.tenant))
            raise InvalidInput(f"there is no directory {name!r}; there are: {known or 'none'}")
        return row


class May:
    """The scope that a route asks for; `scope` is read by the test of all routes."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def __call__(self, request: Request) -> Here:
        who: Who = request.state.who
        if self.scope not in who.scopes:
            detail = f"key {who.name!r} is a {who.role}'s, which may not {self.scope}"
            raise Problem(403, "Not allowed", detail)
        return replace(cast(Here, request.app.state.here), who=who)


def _anybody(request: Request) -> Here:
    return cast(Here, request.app.state.here)


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= 255:
        raise Problem(422, "Cannot be used", "Idempotency-Key must have 1 to 255 characters")
    return key


INDEX_MOST, NOTE_MOST = 2**31 - 1, 2**63 - 1
"""The largest index of an account, or row of a roster, and number of a note, in any ledger."""
Reads = Annotated[Here, Depends(May(Scope.READ))]
Submits = Annotated[Here, Depends(May(Scope.SUBMIT))]
Reveals = Annotated[Here, Depends(May(Scope.REVEAL))]
Operates = Annotated[Here, Depends(May(Scope.OPERATE))]
Administers = Annotated[Here, Depends(May(Scope.ADMIN))]
Anybody = Annotated[Here, Depends(_anybody)]
Key = Annotated[str | None, Depends(_idempotency_key)]


def account_key(account_id: str) -> tuple[str, int]:
    """`<job>:<index>`; raises NotFound for anything else."""
    job_id, colon, index = account_id.partition(":")
    if not colon or not index.isascii() or not index.isdigit() or len(index) > 9:
        raise NotFound(f"there is no account {account_id[:80]!r}; an id is like job:0")
    return job_id, int(index)
