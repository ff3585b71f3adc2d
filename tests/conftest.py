"""What every test may use, and the rule that a required suite may not be skipped."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio

from tests.servers.system import System

_ran: set[str] = set()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, since the path of a socket has 107 characters at most."""
    with TemporaryDirectory(prefix="bx-") as name:
        yield Path(name)


@pytest_asyncio.fixture
async def system(folder: Path) -> AsyncIterator[System]:
    made = System(folder)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if report.when == "call" and report.passed:
        _ran.update(mark.args[0] for mark in item.iter_markers("suite"))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skip at home is a failure in CI."""
    required = set(os.environ.get("BOTRIX_REQUIRED_SUITES", "").split())
    missing = required - _ran
    if missing:
        print(f"\nrequired suites that did not run: {', '.join(sorted(missing))}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
