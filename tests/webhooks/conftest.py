"""A receiver that is up."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.ledger.conftest import url
from tests.servers.receiver import Receiver

__all__ = ["receiver", "url"]


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.start()
    yield made
    await made.stop()
