"""The database goes away in every way it can; the worker needs no restart."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.servers.postgres import PostgresServer, available, postgres_server
from tests.servers.scim import TOKEN, SimulatedDirectory
from tests.servers.system import System, until

pytestmark = [
    pytest.mark.suite("PostgreSQL"),
    pytest.mark.skipif(not available(), reason="no PostgreSQL on this machine"),
]


def _stop_and_start(server: PostgresServer) -> None:
    server.stop(signal.SIGQUIT)
    server.start()


def _freeze(server: PostgresServer) -> None:
    """Longer than the lease: every session that holds accounts is lost by its own watch."""
    parts = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
    for part in parts:
        part.suspend()
    psutil.wait_procs(parts, timeout=3)
    for part in parts:
        part.resume()


def _cut_backends(server: PostgresServer) -> None:
    for part in psutil.Process(server.pid).children():
        if " 127.0.0.1(" in " ".join(part.cmdline()):
            os.kill(part.pid, signal.SIGTERM)


@pytest.mark.parametrize("fault", [_stop_and_start, _freeze, _cut_backends])
async def test_exactly_n_accounts_though_the_database_goes(
    folder: Path, tmp_path: Path, fault: object
) -> None:
    assert callable(fault)
    directory = SimulatedDirectory(tmp_path)
    await directory.begin(delay=0.05)
    (tmp_path / "token").write_text(TOKEN)
    config = {"url": directory.url, "token_file": str(tmp_path / "token"), "concurrency": 4}
    with postgres_server() as server:
        system = System(folder, ledger_url=await server.database())
        try:
            await system.start()
            system.add_directory("idp", kind="scim", **config)
            workers = [await system.worker(f"worker-{n}") for n in (1, 2)]
            job = await system.generate(300, directory="idp")

            async def under_way() -> bool:
                return len(directory.calls()) > 60

            await until(under_way, 30, "calls")
            fault(server)
            done = await system.final(job, 60)
            assert [worker.returncode for worker in workers] == [None, None]
        finally:
            await system.stop()
            await directory.stop()
    assert (done["status"], done["created"]) == ("completed", 300)
    created = directory.created()
    assert (len(created), max(created.values())) == (300, 1)
