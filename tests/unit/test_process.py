"""A process that has begun is not held by full collections of what was there from the start."""

from __future__ import annotations

import gc

import uvicorn
from fastapi import FastAPI

from botrix.api.server import Server
from botrix.notify import Notifier


async def _well() -> None:
    pass


async def test_collections_leave_out_what_was_there_when_the_api_began() -> None:
    server = Server(uvicorn.Config(FastAPI()), Notifier("", 0.0), _well, lambda: None)
    server.should_exit = True
    assert gc.get_freeze_count() == 0
    try:
        await server.main_loop()
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
