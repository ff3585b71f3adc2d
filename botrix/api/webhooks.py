"""/api/webhooks: who is told what becomes of jobs, and what became of the telling."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from botrix.api.body import read_as
from botrix.api.door import NOTE_MOST, Administers, Here, Key
from botrix.api.generate import fingerprint_of
from botrix.api.problems import Problem
from botrix.api.schemas import Page, time_of
from botrix.keys import digest_of
from botrix.ledger.webhooks import Webhooks
from botrix.model import DEFAULT_TENANT
from botrix.states import DeliveryStatus
from botrix.webhooks.adding import Asked, make, opens_more
from botrix.webhooks.events import EVENTS, TEST, message_id
from botrix.webhooks.signing import new_secret, seal

router = APIRouter(prefix="/api/webhooks", tags=["webhooks"])
_Text = Annotated[str, Field(min_length=1, max_length=2048, strict=True)]
_Event = Annotated[str, Field(strict=True, json_schema_extra={"enum": list(EVENTS)})]
_TIMES = ("created_at", "disabled_at", "failing_since")
Number = Annotated[int, Path(ge=1, le=NOTE_MOST)]


class WebhookRequest(BaseModel):
    """events: those that it wants, or null for all. networks: special ones that it may be in;
    allow_http: also off this machine."""

    model_config = ConfigDict(extra="forbid")
    url: _Text
    events: Annotated[list[_Event], Field(min_length=1, max_length=len(EVENTS))] | None = None
    networks: Annotated[list[_Text], Field(max_length=16)] = []
    allow_http: Annotated[bool, Field(strict=True)] = False


class WebhookView(BaseModel):
    """A webhook, without its secret. failing_since: nothing got through since then; after five
    days it is disabled."""

    id: str
    url: str
    events: list[str] | None
    networks: list[str]
    allow_http: bool
    created_at: datetime
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None


class WebhookMade(WebhookView):
    """secret: shown this once (`whsec_…`); null where the same came before under this
    Idempotency-Key: then rotate it."""

    secret: str | None


class DeliveryView(BaseModel):
    """A message. n: to replay it by; id: the webhook-id that its receiver sees."""

    n: int
    id: str
    webhook_id: str
    job_id: str | None
    event: str
    at: datetime
    status: DeliveryStatus
    tries: int
    next_at: datetime | None
    problem: str | None
    sent_at: datetime | None


class Replayed(BaseModel):
    """How many are sent once more."""

    replayed: int


_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": WebhookRequest.model_json_schema()}},
    }
}


@router.post("", status_code=201, response_model=WebhookMade, openapi_extra=_BODY)
async def add(request: Request, here: Administers, key: Key) -> dict[str, Any]:
    """Tell a url what becomes of jobs, from now on. Only keys of the tenant `default` may name this
    machine, networks that are not public, or plain http."""
    body = read_as(WebhookRequest, await request.body())
    asked = Asked(body.url, body.events, body.networks, body.allow_http)
    if here.tenant != DEFAULT_TENANT and opens_more(asked):
        raise Problem(
            403, "Not allowed", "only public https is for everybody; have the operator of this "
            "installation add it: botrix webhook add --tenant",
        )  # fmt: skip
    ident = f"wh_{digest_of(f'{here.tenant}:{key}')[:16]}" if key else None
    made = make(asked, here.tenant, here.services.sealer, ident)
    fingerprint = fingerprint_of("webhook.add", body.model_dump_json().encode())
    new = await _held(here).add(
        here.tenant, made.id, made.values, made.host, here.who.actor, key, fingerprint
    )
    return await _made(here, made.id, made.secret if new else None)


@router.get("", response_model=Page[WebhookView])
async def webhooks(here: Administers) -> dict[str, Any]:
    """All that the tenant has."""
    rows = await _held(here).shown(here.tenant)
    return {"items": [webhook_view(row) for row in rows], "next": None}


@router.get("/deliveries", response_model=Page[DeliveryView])
async def deliveries(
    here: Administers,
    status: DeliveryStatus = DeliveryStatus.DEAD,
    webhook: str | None = None,
    cursor: Annotated[int | None, Query(ge=1, le=NOTE_MOST)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> dict[str, Any]:
    """Messages in this state, newest first."""
    where = {"status": status.value} | ({"webhook_id": webhook} if webhook else {})
    rows = await _held(here).deliveries(here.tenant, where, cursor, limit)
    following = str(rows[-1]["n"]) if len(rows) == limit else None
    return {"items": [delivery_view(row) for row in rows], "next": following}


@router.get("/deliveries/{n}", response_model=DeliveryView)
async def delivery(here: Administers, n: Number) -> dict[str, Any]:
    """One message, and what became of it."""
    return delivery_view(await _held(here).delivery(here.tenant, n))


@router.post("/deliveries/{n}/replay", status_code=202, response_model=DeliveryView)
async def replay(here: Administers, n: Number, key: Key) -> dict[str, Any]:
    """Send one once more, from the first try, whatever became of it."""
    await _held(here).replay(here.tenant, n, here.who.actor, key)
    return delivery_view(await _held(here).delivery(here.tenant, n))


@router.get("/{webhook_id}", response_model=WebhookView)
async def webhook(here: Administers, webhook_id: str) -> dict[str, Any]:
    """One webhook."""
    return webhook_view(await _held(here).one(here.tenant, webhook_id))


@router.post("/{webhook_id}/rotate", response_model=WebhookMade)
async def rotate(here: Administers, webhook_id: str, key: Key) -> dict[str, Any]:
    """A new secret, shown once. For a day messages are signed with the old one too."""
    secret = new_secret()
    sealed = seal(here.services.sealer, here.tenant, webhook_id, secret)
    new = await _held(here).rotate(here.tenant, webhook_id, sealed, here.who.actor, key)
    return await _made(here, webhook_id, secret if new else None)


@router.post("/{webhook_id}/enable", response_model=WebhookView)
async def enable(here: Administers, webhook_id: str, key: Key) -> dict[str, Any]:
    """Use one again that was disabled. What it missed meanwhile is sent when it is replayed."""
    await _held(here).enable(here.tenant, webhook_id, here.who.actor, key)
    return webhook_view(await _held(here).one(here.tenant, webhook_id))


@router.post("/{webhook_id}/test", status_code=202, response_model=DeliveryView)
async def test(here: Administers, webhook_id: str, key: Key) -> dict[str, Any]:
    """Send it `webhook.test`, once; the delivery tells what became of it."""
    held = _held(here)
    return delivery_view(await held.test(here.tenant, webhook_id, TEST, here.who.actor, key))


@router.post("/{webhook_id}/replay", status_code=202, response_model=Replayed)
async def replay_dead(here: Administers, webhook_id: str, key: Key) -> dict[str, Any]:
    """Send all of its dead messages once more."""
    n = await _held(here).replay_dead(here.tenant, webhook_id, here.who.actor, key)
    return {"replayed": n}


@router.delete("/{webhook_id}", status_code=204)
async def remove(here: Administers, webhook_id: str) -> None:
    """Tell it nothing more; its messages go with it."""
    await _held(here).remove(here.tenant, webhook_id, here.who.actor)


def webhook_view(row: dict[str, Any]) -> dict[str, Any]:
    """From a row of the ledger."""
    config = json.loads(row["config"])
    events = None if row["events"] is None else json.loads(row["events"])
    told = {"networks": config.get("networks", []), "allow_http": config.get("allow_http", False)}
    return {**row, **{name: time_of(row[name]) for name in _TIMES}, **told, "events": events}


def delivery_view(row: dict[str, Any]) -> dict[str, Any]:
    """From a row of the ledger."""
    waiting = row["status"] == DeliveryStatus.WAITING
    return {
        **row,
        "id": message_id(row["webhook_id"], row["n"], row["at"]),
        "job_id": row["job_id"] or None,
        "at": time_of(row["at"]),
        "next_at": time_of(max(row["next_at"], row["at"])) if waiting else None,
        "sent_at": time_of(row["sent_at"]),
    }


async def _made(here: Here, webhook_id: str, secret: str | None) -> dict[str, Any]:
    return {**webhook_view(await _held(here).one(here.tenant, webhook_id)), "secret": secret}


def _held(here: Here) -> Webhooks:
    return Webhooks(here.queries.engine)
