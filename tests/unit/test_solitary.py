"""A worker that holds other accounts takes no suspect, unless that has waited long enough."""

from __future__ import annotations

import asyncio
import random
from typing import Any, cast

from msgspec.structs import replace

from botrix.creators.gate import Gate
from botrix.ledger.ledger import Ledger
from botrix.model import LeasedAccount, Person, Result
from botrix.retry import Backoff
from botrix.sealing import Sealer
from botrix.services import Directories
from botrix.states import AccountStatus
from botrix.worker.desk import Desk
from botrix.worker.recorder import Recorder
from botrix.worker.solitary import Solitary
from tests.unit.kin import all_of_them as known

_PERSON = Person("n", "e", "g", "f", "d")
SUSPECT = LeasedAccount("default", "d", "job", 0, 3, _PERSON, b"")
_OTHER = LeasedAccount("default", "d", "other", 0, 1, _PERSON, b"")


class _Ledger:
    def __init__(self) -> None:
        self.left = [SUSPECT]
        self.claimed = asyncio.Event()

    async def suspects(self) -> bool:
        return bool(self.left)

    async def claim_suspect(self, _session: str) -> LeasedAccount | None:
        self.claimed.set()
        return self.left.pop() if self.left else None


class _Directories:
    """Opens none, so that whatever the desk holds is begun by nobody."""

    async def creator(self, *_: object) -> Any:
        await asyncio.Event().wait()

    def gate(self, *_: object) -> Gate:
        return Gate()


def made_desk() -> Desk:
    async def rename(account: LeasedAccount) -> LeasedAccount:
        return account

    directories = cast(Directories, _Directories())
    return Desk(directories, Sealer(b"k" * 32), Backoff(), 10, rename, known, random.Random(1))


class _Recorder:
    def __init__(self) -> None:
        self.results: list[Result] = []

    def put(self, results: list[Result]) -> None:
        self.results += results


def _made(now: list[float]) -> tuple[_Ledger, Desk, Solitary]:
    ledger, desk = _Ledger(), made_desk()
    desk.recorder = cast(Recorder, _Recorder())
    clock = lambda: now[0]  # noqa: E731
    return ledger, desk, Solitary("s", cast(Ledger, ledger), desk, asyncio.Lock(), 10.0, clock)


def _done(account: LeasedAccount) -> list[Result]:
    return [Result(account.job_id, account.index, account.attempt, AccountStatus.CREATED)]


async def test_an_idle_worker_takes_it_at_once_and_nothing_beside_it() -> None:
    ledger, desk, solitary = _made([0.0])
    tick = asyncio.create_task(solitary.tick())
    await ledger.claimed.wait()
    await asyncio.sleep(0)
    assert (desk.held(), desk.room(100).total) == (1, 0)
    desk.released(_done(SUSPECT))
    await tick
    assert desk.room(100).total == 10
    await desk.close()


async def test_a_busy_worker_waits_a_moment_then_hands_back_and_takes_it() -> None:
    now = [100.0]
    ledger, desk, solitary = _made(now)
    recorder = _Recorder()
    desk.recorder = cast(Recorder, recorder)
    desk.add([_OTHER])
    await solitary.tick()
    now[0] = 101.9
    await solitary.tick()
    assert (desk.room(100).total, recorder.results) == (9, [])
    now[0] = 102.1
    tick = asyncio.create_task(solitary.tick())
    await asyncio.sleep(0.01)
    assert (desk.room(100).total, ledger.claimed.is_set()) == (0, False)
    (back,) = recorder.results
    assert (back.status, back.counted, back.in_doubt) == (AccountStatus.PLANNED, False, False)
    desk.released(recorder.results)
    await ledger.claimed.wait()
    await asyncio.sleep(0)
    desk.released(_done(SUSPECT))
    await tick
    await desk.close()


async def test_after_a_lease_of_suspects_others_have_their_turn() -> None:
    now = [100.0]
    ledger, desk, solitary = _made(now)
    ledger.left = [replace(SUSPECT, index=n) for n in range(3)]
    tick = asyncio.create_task(solitary.tick())
    for after in (4.0, 11.0):
        await ledger.claimed.wait()
        ledger.claimed.clear()
        await asyncio.sleep(0)
        now[0] = 100.0 + after
        desk.released(_done(replace(SUSPECT, index=len(ledger.left))))
    await asyncio.wait_for(tick, 5)
    assert (len(ledger.left), desk.reserved) == (1, False)
    desk.add([_OTHER])
    await solitary.tick()
    assert len(ledger.left) == 1
    await desk.close()


async def test_the_wait_is_forgotten_once_there_is_none() -> None:
    now = [100.0]
    ledger, desk, solitary = _made(now)
    desk.add([_OTHER])
    await solitary.tick()
    suspect = ledger.left.pop()
    now[0] = 120.0
    await solitary.tick()
    ledger.left.append(suspect)
    assert not await solitary.tick()
    await desk.close()
