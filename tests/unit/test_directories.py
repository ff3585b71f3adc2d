"""A directory is opened once, however many ask for it at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from botrix.errors import LedgerError
from botrix.ledger.ledger import DirectoryRow, Ledger
from botrix.sealing import Sealer
from botrix.services import Directories, Services
from botrix.settings import Settings


class _Ledger:
    asked = 0

    async def directory(self, _tenant: str, _name: str) -> DirectoryRow:
        self.asked += 1
        await asyncio.sleep(0)
        return DirectoryRow("simulated", "{}")


def test_a_policy_of_a_newer_release_stops_one_job_and_no_worker(tmp_path: Path) -> None:
    plan = Services(Settings.read({}, data=tmp_path)).plan
    assert len(plan("default", "job", None, range(2), None)) == 2
    with pytest.raises(LedgerError, match="no password can be made"):
        plan("default", "job", None, range(2), '{"newer": true}')


async def test_those_who_ask_at_once_get_the_same(tmp_path: Path) -> None:
    ledger = _Ledger()
    directories = Directories(
        Settings.read({}, data=tmp_path), cast(Ledger, ledger), Sealer(bytes(32))
    )
    creators = await asyncio.gather(*(directories.creator("default", "sim") for _ in range(5)))
    assert (len(set(map(id, creators))), ledger.asked) == (1, 1)
    await directories.close()
