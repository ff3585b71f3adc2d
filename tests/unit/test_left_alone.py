"""The reconciler leaves a paused directory alone, and a quiet worker's asks for no job."""

from __future__ import annotations

from typing import Any, cast

from botrix.breaker import Mood
from botrix.ledger.governing import Governed, Standing
from botrix.ledger.ledger import Ledger, Provisional
from botrix.line.line import Line
from botrix.services import Directories
from botrix.states import DirectoryStatus
from botrix.worker.reconciler import Reconciler

_JOB = Provisional("j", "default", "d", 1.0)


class _Ledger:
    def __init__(self, status: DirectoryStatus) -> None:
        self.status = status
        self.looked: list[bool] = []

    async def look_again(self, *_: object) -> Provisional:
        return _JOB

    async def standing(self, *_: object) -> Standing:
        return Standing(Governed(mood=Mood(self.status)), 2.0, {})

    async def provisional(self, *_: object) -> list[Any]:
        return []

    async def looked_again(self, _session: str, _job: Provisional, *, done: bool) -> None:
        self.looked.append(done)


class _Directories:
    opened = 0

    async def creator(self, *_: object) -> object:
        self.opened += 1
        return object()


def _made(status: DirectoryStatus) -> tuple[_Ledger, _Directories, Reconciler]:
    ledger, directories = _Ledger(status), _Directories()
    made = Reconciler(
        "s", cast(Ledger, ledger), cast(Line, None), cast(Directories, directories), 10.0
    )
    return ledger, directories, made


async def test_a_paused_directory_is_not_asked_what_landed_late() -> None:
    for status, done in ((DirectoryStatus.PAUSED, False), (DirectoryStatus.WORKING, True)):
        ledger, directories, reconciler = _made(status)
        await reconciler.tick()
        assert (ledger.looked, directories.opened) == ([done], int(done))


async def test_who_is_quiet_takes_up_no_job() -> None:
    ledger, _, reconciler = _made(DirectoryStatus.WORKING)
    reconciler.quiet = lambda: True
    assert not await reconciler.tick()
    assert ledger.looked == []
