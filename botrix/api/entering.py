"""POST /api/directories: adds one, or looks first whether it could be used; and looks at those that
there are. As at the terminal (`botrix directory add`, `check`), but for what names this machine.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from botrix.api import directories
from botrix.api.body import read_as
from botrix.api.described import PROBLEM
from botrix.api.door import Administers, Here, Key, Operates
from botrix.api.schemas import DirectoryView
from botrix.audit import Act
from botrix.creators.creator import Check, Secret
from botrix.entering import NAME, Asked, Entering, check, check_remote
from botrix.errors import NotFound
from botrix.ledger.audit import note_act
from botrix.ledger.engine import begin
from botrix.model import DEFAULT_TENANT

router = APIRouter(prefix="/api/directories", tags=["directories"])
_Key = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$")]
_SecretText = Annotated[str, Field(min_length=1, max_length=8192, strict=True)]


class SettingsRequest(BaseModel):
    """settings: see GET /api/directories/kinds. secrets: those of them that are secret; they are
    sealed at once and never shown again. policy: of passwords, as `botrix directory add --policy`
    has it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    kind: Annotated[str, Field(min_length=1, max_length=64, strict=True)]
    settings: Annotated[dict[_Key, JsonValue], Field(max_length=64)] = {}
    secrets: Annotated[dict[_Key, _SecretText], Field(max_length=16, repr=False)] = {}
    policy: Annotated[dict[_Key, JsonValue], Field(max_length=16)] = {}

    def asked(self) -> Asked:
        """With each secret in its cover."""
        secrets = {name: Secret(text) for name, text in self.secrets.items()}
        return Asked(self.kind, self.settings, secrets, self.policy)


class DirectoryRequest(SettingsRequest):
    """A directory, and the name that jobs give."""

    name: Annotated[str, Field(pattern=NAME, strict=True)]


class DeviationView(BaseModel):
    """What a directory does otherwise than is to be expected, and what is done about it here."""

    what: str
    so: str


class CheckView(BaseModel):
    """Whether a directory can be used; if not, `problem` says why and what to do. can: what it can
    do, a line each. directory: null where it is not added yet."""

    directory: str | None
    usable: bool
    problem: str | None
    can: list[str]
    deviations: list[DeviationView]


def _body(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_ONE_REQUEST = 10.0
"""Seconds, so that a directory that does not answer is said to be silent before the check ends."""
_TAKEN: dict[int | str, dict[str, Any]] = {
    409: {"description": "There is a directory of this name", "content": PROBLEM},
}


@router.post(
    "", status_code=201, response_model=DirectoryView, responses=_TAKEN,
    openapi_extra=_body(DirectoryRequest),
)  # fmt: skip
async def add(request: Request, here: Administers, key: Key) -> dict[str, Any]:
    """Add a directory. It is not asked for anything; check it first, or afterwards."""
    body = read_as(DirectoryRequest, await request.body())
    asked = body.asked()
    await check_remote(asked, here.tenant == DEFAULT_TENANT)
    services = here.services
    entering = Entering(here.queries, lambda: services.sealer, services.settings.request_timeout)
    await entering.add(here.tenant, body.name, asked, here.who.actor, key)
    return await directories.view_of(here, body.name)


@router.post("/check", response_model=CheckView, openapi_extra=_body(SettingsRequest))
async def check_first(request: Request, here: Administers) -> dict[str, Any]:
    """Look whether a directory with these settings could be used. Nothing is kept, and nothing is
    changed there."""
    asked = read_as(SettingsRequest, await request.body()).asked()
    await check_remote(asked, here.tenant == DEFAULT_TENANT)
    services = here.services

    async def look() -> Check:
        await check(asked, services.settings.request_timeout)
        trial = services.directories.trial
        return await trial(here.tenant, asked.kind, asked.config, _timeout(here))

    await _note(here, "directory.try", asked.kind, "")
    return _view(None, await here.checking.run(look))


@router.post("/{name}/check", response_model=CheckView)
async def check_again(here: Operates, name: str) -> dict[str, Any]:
    """Look whether a directory can be used, what it can do, what it does otherwise than is to be
    expected, and what is done about it. Nothing is changed there."""
    row = await here.services.ledger.directory(here.tenant, name)
    if row is None:
        raise NotFound(f"there is no directory {name!r}; see: GET /api/directories")
    await _note(here, "directory.check", name, row.kind)
    probe = here.services.directories.probe
    found = await here.checking.run(lambda: probe(here.tenant, name, _timeout(here)))
    return _view(name, found)


def _timeout(here: Here) -> float:
    return min(_ONE_REQUEST, here.services.settings.request_timeout)


async def _note(here: Here, what: str, thing: str, detail: str) -> None:
    async with begin(here.queries.engine) as db:
        await note_act(db, Act(what, thing, detail, here.tenant), here.who.actor)


def _view(name: str | None, found: Check) -> dict[str, Any]:
    return {
        "directory": name,
        "usable": found.usable,
        "problem": found.problem or None,
        "can": list(found.can),
        "deviations": [{"what": one.what, "so": one.so} for one in found.deviations],
    }
