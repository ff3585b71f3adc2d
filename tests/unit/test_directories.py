"""A directory is opened once, however many ask for it at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from botrix.ledger.ledger import DirectoryRow, Ledger
from botrix.services import Directories
from botrix.settings import Settings


class _Ledger:
    asked = 0

    async def directory(self, _tenant: str, _name: str) -> DirectoryRow:
        self.asked += 1
        await asyncio.sleep(0)
        return DirectoryRow("simulated", "{}")


async def test_those_who_ask_at_once_get_the_same(tmp_path: Path) -> None:
    ledger = _Ledger()
    directories = Directories(Settings.read({}, data=tmp_path), cast(Ledger, ledger))
    creators = await asyncio.gather(*(directories.creator("default", "sim") for _ in range(5)))
    assert (len(set(map(id, creators))), ledger.asked) == (1, 1)
    await directories.close()
