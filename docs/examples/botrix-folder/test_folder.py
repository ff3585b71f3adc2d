"""Whatever every kind of directory must do, of this one."""

import pytest_asyncio
from botrix_folder import open_creator

from botrix.creators.gate import Gate
from botrix.testing import *  # noqa: F403


@pytest_asyncio.fixture
async def creator(tmp_path):
    made = await open_creator({"path": tmp_path}, 5.0, Gate())
    yield made
    await made.close()
