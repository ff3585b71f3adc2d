"""What every route works with: the services of this process, and the tenant that asks."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, cast

import msgspec
from fastapi import Depends, Request

from botrix.api.backlog import Backlog
from botrix.api.checking import Checking
from botrix.api.hub import Hub
from botrix.api.own import Own
from botrix.api.problems import Problem
from botrix.api.pulse import Pulses
from botrix.api.rate import Rate
from botrix.api.submitting import Submitting
from botrix.api.who import Doorkeeper, Who, local
from botrix.errors import Conflict, InvalidInput, NotFound
from botrix.ledger.keys import Keys
from botrix.ledger.ledger import DirectoryRow
from botrix.ledger.plans import Plans
from botrix.ledger.queries import Queries
from botrix.model import NewJob
from botrix.roles import Scope
from botrix.services import Services


class Here(msgspec.Struct, frozen=True):
    """What this process works with, and (within a request) who asks."""

    services: Services
    queries: Queries
    keys: Keys
    submitting: Submitting
    keeper: Doorkeeper
    rate: Rate
    backlog: Backlog
    hub: Hub
    pulses: Pulses
    checking: Checking
    own: Own = msgspec.field(default_factory=Own)
    who: Who = msgspec.field(default_factory=lambda: local("this process"))

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

    async def require_known(self, name: str) -> None:
        """Likewise, by what was seen lately: no directory is ever removed."""
        if (self.tenant, name) not in self.own.directories:
            await self.require_directory(name)
            self.own.directories.add((self.tenant, name))

    async def require_heed(self, job: NewJob) -> None:
        """Raises Conflict where a worker runs that would not heed how the job is to be run."""
        if job.is_plain:
            return
        if reason := await Plans(self.queries.engine).heeded():
            raise Conflict(reason)

    def entry(self, key: str | None) -> AbstractAsyncContextManager[None]:
        """In which a job is entered. Raises Problem where there are as many as may be."""
        return self.backlog.entry(lambda: self.queries.key_was_used(self.tenant, key))


class May:
    """The scope that a route asks for; `scope` is read by the test of all routes."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Here:
        who: Who = request.state.who
        if self.scope not in who.scopes:
            detail = f"key {who.name!r} is a {who.role}'s, which may not {self.scope}"
            raise Problem(403, "Not allowed", detail)
        return msgspec.structs.replace(cast(Here, request.app.state.here), who=who)


async def _anybody(request: Request) -> Here:
    return cast(Here, request.app.state.here)


async def _idempotency_key(request: Request) -> str | None:
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
