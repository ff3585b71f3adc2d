"""Signing in with a key, for pages: a cookie takes the key's place."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Cookie, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from botrix.api.body import read_as
from botrix.api.door import Anybody, Reads
from botrix.api.entrance import COOKIE, SIGN_IN_PATH
from botrix.api.problems import Problem
from botrix.api.trust import is_loopback_name
from botrix.api.who import SIGNED_IN, Who
from botrix.keys import digest_of

router = APIRouter(tags=["sign-in"])


class SignIn(BaseModel):
    """What a page sends."""

    model_config = ConfigDict(extra="forbid")
    key: Annotated[str, Field(max_length=200)]


_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": SignIn.model_json_schema()}},
    }
}


@router.post(SIGN_IN_PATH, openapi_extra=_BODY)
async def sign_in(request: Request, response: Response, here: Anybody) -> dict[str, Any]:
    """Sets a cookie that no script can read and no other site can send."""
    asked = read_as(SignIn, await request.body())
    peer = request.client.host if request.client else "unknown"
    who = await here.keeper.by_key(asked.key, peer)
    if who is None or who.key_id is None:
        raise Problem(401, "No key", "this key is not known, was revoked or has expired")
    cookie = secrets.token_urlsafe(32)
    await here.keys.sign_in(digest_of(cookie), who.key_id, who.tenant, SIGNED_IN)
    response.set_cookie(
        COOKIE, cookie, max_age=int(SIGNED_IN), httponly=True, samesite="strict",
        secure=not is_loopback_name(request.headers.get("host", "")),
    )  # fmt: skip
    return _shown(who)


@router.post("/api/sign-out", status_code=204)
async def sign_out(
    response: Response, here: Reads, cookie: Annotated[str, Cookie(alias=COOKIE)] = ""
) -> None:
    """Ends what `sign-in` began, in every process within five seconds."""
    digest = digest_of(cookie)
    await here.keys.sign_out(digest)
    here.keeper.forget(digest)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


@router.get("/api/me")
async def me(here: Reads) -> dict[str, Any]:
    """Who asks, and what they may do."""
    return _shown(here.who)


def _shown(who: Who) -> dict[str, Any]:
    about = {"tenant": who.tenant, "name": who.name, "role": who.role}
    return {**about, "scopes": sorted(who.scopes), "signed_in": who.key_id is not None}
