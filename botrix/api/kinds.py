"""/api/directories/kinds: what kinds of directories there are here, and what one of each needs."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, JsonValue

from botrix.api.door import Reads
from botrix.creators import FOR_TRIALS, described
from botrix.creators.declared import From, Setting, Type
from botrix.model import DEFAULT_TENANT

router = APIRouter(prefix="/api/directories", tags=["directories"])


class SettingView(BaseModel):
    """A setting. choices: of a text, all that it may be. secret: it goes among `secrets`, and is
    never shown again. ways: of signing in, where there are several: give what belongs to one of
    them. here: whether this key may give it; else it is for the terminal."""

    name: str
    help: str
    type: Type
    required: bool
    default: JsonValue
    choices: list[str]
    secret: bool
    ways: list[str]
    here: bool


class KindView(BaseModel):
    """A kind, and the package that brings it. problem: why it cannot be used, if so. settings: null
    where its package does not tell them. here: whether this key may add one; else it is for the
    terminal."""

    kind: str
    package: str
    problem: str | None
    settings: list[SettingView] | None
    here: bool


class Kinds(BaseModel):
    """All that there are here."""

    items: list[KindView]


@router.get("/kinds", response_model=Kinds)
async def kinds(here: Reads) -> dict[str, Any]:
    """The kinds of directories that may be added, with their settings."""
    is_default = here.tenant == DEFAULT_TENANT
    found = await asyncio.to_thread(described)  # packages are looked for, and may be imported
    return {
        "items": [
            {
                "kind": one.kind,
                "package": one.package,
                "problem": one.problem or None,
                "settings": settings and [_view(setting, is_default) for setting in settings],
                "here": settings is not None and (is_default or one.kind not in FOR_TRIALS),
            }
            for one, settings in found
        ]
    }


def _view(one: Setting, is_default: bool) -> dict[str, Any]:
    here = one.place is From.ANYWHERE or (one.place is From.DEFAULT_TENANT and is_default)
    return {
        "name": one.name,
        "help": one.help,
        "type": one.type,
        "required": one.required,
        "default": one.default,
        "choices": list(one.choices),
        "secret": one.secret,
        "ways": list(one.ways),
        "here": here,
    }
