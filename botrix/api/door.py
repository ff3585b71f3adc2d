"""What every route works with: the services of this process, and the tenant that asks."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from botrix.api.problems import Problem
from botrix.api.submitting import Submitting
from botrix.errors import InvalidInput, NotFound
from botrix.ledger.queries import Queries
from botrix.model import DEFAULT_TENANT
from botrix.services import Services


class Here:
    """One per process."""

    def __init__(self, services: Services, queries: Queries, submitting: Submitting) -> None:
        self.services = services
        self.queries = queries
        self.submitting = submitting
        self.tenant = DEFAULT_TENANT

    async def require_directory(self, name: str) -> None:
        """Raises InvalidInput, naming those there are."""
        if await self.services.ledger.directory(self.tenant, name) is None:
            known = ", ".join(row["name"] for row in await self.queries.directories(self.tenant))
            raise InvalidInput(f"there is no directory {name!r}; there are: {known}")


def _here(request: Request) -> Here:
    return cast(Here, request.app.state.here)


def _key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= 255:
        raise Problem(422, "Cannot be used", "Idempotency-Key must have 1 to 255 characters")
    return key


INDEX_MOST, NOTE_MOST = 2**31 - 1, 2**63 - 1
"""The largest index of an account, or row of a roster, and number of a note, in any ledger."""
HereNow = Annotated[Here, Depends(_here)]
Key = Annotated[str | None, Depends(_key)]


def account_key(account_id: str) -> tuple[str, int]:
    """`<job>:<index>`; raises NotFound for anything else."""
    job_id, colon, index = account_id.partition(":")
    if not colon or not index.isascii() or not index.isdigit() or len(index) > 9:
        raise NotFound(f"there is no account {account_id[:80]!r}; an id is like job:0")
    return job_id, int(index)
