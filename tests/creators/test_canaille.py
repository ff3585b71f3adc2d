"""canaille, a real OpenID provider: the operator's client is let in by a token of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from botrix.creators.gate import Answered
from tests.creators.test_authorization import asking
from tests.servers.canaille import Canaille, missing

pytestmark = pytest.mark.suite("canaille")


@pytest_asyncio.fixture
async def canaille(tmp_path: Path) -> AsyncIterator[Canaille]:
    if why := missing():
        pytest.skip(why)
    server = Canaille(tmp_path)
    try:
        await server.begin()
        yield server
    finally:
        await server.stop()


async def test_a_client_is_let_in_and_again_once_its_token_is_revoked(canaille: Canaille) -> None:
    async with asking(canaille.config(), timeout=20) as one:
        for _ in range(2):
            assert (await one.once()).status == 200
        assert len(canaille.rows("SELECT * FROM token")) == 1
        canaille.revoke()
        assert (await one.once()).status == 200
        assert len(canaille.rows("SELECT * FROM token")) == 1
        assert one.gate.tally.answers == {Answered.DONE: 3}


async def test_a_wrong_secret_is_told(canaille: Canaille) -> None:
    async with asking(canaille.config("none that it knows"), timeout=20) as one:
        answer = await one.once()
        assert (answer.status, answer.sent) == (401, False)
        assert one.gate.tally.answers == {Answered.CREDENTIALS: 1}
        assert "cannot authenticate" in one.gate.tally.problem
        assert "none that it knows" not in one.gate.tally.problem
