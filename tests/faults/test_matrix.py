"""The short column of the matrix: each fault a few times, three worlds side by side, since most of
their time is waiting for leases to run out. In a process of its own, so that nothing of it, such as
connections to processes that were killed, is left to other tests."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from tests.faults.fault import Fault, Report
from tests.faults.matrix import FAULTS, shown, trials_of

_SHORT = [fault for fault in FAULTS.values() if fault.short]


class _Running:
    """The process, and a report of each fault as soon as there is one."""

    def __init__(self, wanted: list[str]) -> None:
        self.reports: dict[str, Future[Report]] = {ident: Future() for ident in wanted}
        command = [sys.executable, "-m", "tests.faults.matrix", "short", *wanted]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            report = Report(**json.loads(line))
            self.reports[report.fault].set_result(report)
        for ident, report in self.reports.items():
            if not report.done():
                report.set_result(Report(ident, violations=["its process ended without a report"]))

    def end(self) -> None:
        """What still runs is given up, where the tests were ended early."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[_Running]:
    asked = {item.callspec.params["fault"].id for item in request.session.items
             if item.name.startswith("test_fault[")}  # fmt: skip
    made = _Running([f.id for f in _SHORT if f.id in asked and f.needs() is None])
    yield made
    made.end()


@pytest.mark.suite("Faults")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, id=fault.id, marks=pytest.mark.suite(fault.suite)) for fault in _SHORT],
)
def test_fault(fault: Fault, running: _Running) -> None:
    reason = fault.needs()
    if reason is not None:
        pytest.skip(f"{fault.id} ({fault.title}) was NOT tried: {reason}")
    report = running.reports[fault.id].result()
    print(shown(report))
    assert not report.violations, "\n".join(report.violations)
    assert report.trials == trials_of(fault)
