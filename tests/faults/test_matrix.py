"""The short column of the matrix: each fault a few times, three worlds side by side, since most of
their time is waiting for leases to run out."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Self

import pytest

from tests.faults.fault import Fault, Report
from tests.faults.matrix import FAULTS, Postgres, shared_postgres, shown, tried

SEED = "short"
SIDE_BY_SIDE = 3
_SHORT = [fault for fault in FAULTS.values() if fault.short]


class _Running:
    """All faults, in a loop and thread of their own; each test waits for its report."""

    def __init__(self, wanted: list[Fault], server: Postgres) -> None:
        self.reports: dict[str, Future[Report]] = {fault.id: Future() for fault in wanted}
        self._wanted = wanted
        self._server = server
        self._over: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """What still runs is given up, where the tests were ended early."""
        self._over()
        self._thread.join()

    async def _run(self) -> None:
        loop, room = asyncio.get_running_loop(), asyncio.Semaphore(SIDE_BY_SIDE)
        faults = asyncio.gather(*(self._one(fault, room) for fault in self._wanted))
        self._over = lambda: loop.call_soon_threadsafe(faults.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await faults
        self._over = lambda: None

    async def _one(self, fault: Fault, room: asyncio.Semaphore) -> None:
        async with room:
            try:
                report = await tried(fault, trials_of(fault), SEED, self._server)
            except BaseException as error:
                self.reports[fault.id].set_exception(error)
                raise
            self.reports[fault.id].set_result(report)


def trials_of(fault: Fault) -> int:
    """Of the short column, trimmed so that all of it takes some minutes on two cores."""
    return TRIMMED.get(fault.id, fault.short)


TRIMMED = {"F1": 30, "F3": 8, "F6": 8, "F8": 8, "F11": 12, "F18": 12, "F17": 8, "F20": 6}


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[_Running]:
    asked = {item.callspec.params["fault"].id for item in request.session.items
             if item.name.startswith("test_fault[")}  # fmt: skip
    wanted = [f for f in _SHORT if f.id in asked and f.needs() is None]
    with shared_postgres() as server, _Running(wanted, server) as made:
        yield made


# What is left of connections to processes that were killed is closed when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.suite("Faults")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", _SHORT, ids=lambda fault: fault.id)
def test_fault(fault: Fault, running: _Running) -> None:
    reason = fault.needs()
    if reason is not None:
        pytest.skip(f"{fault.id} ({fault.title}) was NOT tried: {reason}")
    report = running.reports[fault.id].result()
    print(shown(report))
    assert not report.violations, "\n".join(report.violations)
    assert report.trials == trials_of(fault)
