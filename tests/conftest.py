"""What every test may use, and the rule that a required suite may not be skipped."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import pytest
import pytest_asyncio

from tests.servers import keycloak, postgres
from tests.servers.canaille import Canaille, missing
from tests.servers.keycloak import Keycloak, Realm
from tests.servers.postgres import PostgresServer
from tests.servers.system import System

# How long a machine takes is no property of the code.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")

_ran: set[str] = set()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, since the path of a socket has 107 characters at most."""
    with TemporaryDirectory(prefix="bx-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    if not postgres.available():
        pytest.skip("no PostgreSQL on this machine")
    with postgres.postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def keycloak_server() -> Iterator[Keycloak]:
    if why := keycloak.missing():
        pytest.skip(f"Keycloak was NOT tried: {why}")
    with TemporaryDirectory(prefix="bx-") as name, keycloak.keycloak(Path(name)) as server:
        yield server


@pytest.fixture
def realm(keycloak_server: Keycloak) -> Iterator[Realm]:
    """A new one, which keeps tags."""
    made = Realm(keycloak_server, f"realm-{secrets.token_hex(4)}")
    yield made
    made.remove()


@pytest_asyncio.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.suite("SQLite")),
        pytest.param("postgres", marks=pytest.mark.suite("PostgreSQL")),
    ]
)
async def system(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[System]:
    """On each database, a line of its own, an API and no worker yet."""
    url = None
    if request.param == "postgres":
        url = await request.getfixturevalue("postgres_server").database()
    made = System(folder, ledger_url=url)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


@pytest.fixture(scope="session")
def one_canaille(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaille]:
    if why := missing():
        pytest.skip(why)
    server = Canaille(tmp_path_factory.mktemp("canaille"))
    try:
        server.begin()
        yield server
    finally:
        server.kill()


@pytest.fixture
def canaille(one_canaille: Canaille) -> Canaille:
    """One for all tests, for it takes long to start; empty for each."""
    one_canaille.empty()
    return one_canaille


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    report.suites = [mark.args[0] for mark in item.iter_markers("suite")]
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In the process that gathers what all others did, where there are several."""
    if report.when == "call" and report.passed:
        _ran.update(report.suites)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skip at home is a failure in CI."""
    if hasattr(session.config, "workerinput"):  # one of several, which ran a part
        return
    required = set(os.environ.get("BOTRIX_REQUIRED_SUITES", "").split())
    missing = required - _ran
    if missing:
        print(f"\nrequired suites that did not run: {', '.join(sorted(missing))}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
