"""Creators: one module for each kind of directory. `KINDS` names them all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from botrix.creators.creator import Creator
from botrix.errors import DirectoryError

KINDS = {
    "local": "botrix.creators.local",
    "scim": "botrix.creators.scim.creator",
    "simulated": "botrix.creators.simulated",
}


async def open_creator(kind: str, config: Mapping[str, Any], *, timeout: float = 30.0) -> Creator:
    """timeout: seconds for one request. Raises DirectoryError for an unknown kind or settings
    that cannot be used."""
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise DirectoryError(f"there is no kind of directory {kind!r}; choose one of: {known}")
    # In a thread: the libraries of some kinds take long to import, and beats must go on.
    module = await asyncio.to_thread(import_module, KINDS[kind])
    return cast(Creator, await module.open_creator(config, timeout))
