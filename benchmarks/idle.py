"""What a worker costs that has nothing to do, or nothing to do it with: CPU time of its process.

    python -m benchmarks.idle

Default leases and intervals; half a minute each, on both databases.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tests.servers.postgres import postgres_server
from tests.servers.system import System

SECONDS = 30.0


async def measure() -> dict[str, float]:
    """Percent of one core."""
    found = {}
    with postgres_server() as server:
        for database, url in (("SQLite", None), ("PostgreSQL", await server.database())):
            with TemporaryDirectory(prefix="bx-") as name:
                system = System(Path(name), {"BOTRIX_LOG_LEVEL": "ERROR"}, url)
                await system.start()
                try:
                    worker = psutil.Process((await system.worker()).pid)
                    await asyncio.sleep(5)
                    found[f"idle, {database}"] = await _percent(worker)
                    system.supervisor.line.kill()
                    found[f"without the line, {database}"] = await _percent(worker)
                    if url is not None:
                        server.stop()
                        found["without line and ledger, PostgreSQL"] = await _percent(worker)
                        await system.supervisor.line.start()
                        found["without the ledger, PostgreSQL"] = await _percent(worker)
                finally:
                    await system.stop()
    return found


async def _percent(process: psutil.Process) -> float:
    await asyncio.sleep(1)
    before = sum(process.cpu_times()[:2])
    await asyncio.sleep(SECONDS)
    return round(100.0 * (sum(process.cpu_times()[:2]) - before) / SECONDS, 2)


def main() -> int:
    found = asyncio.run(measure())
    if "--json" in sys.argv:
        print(json.dumps(found))
    else:
        for what, percent in found.items():
            print(f"{percent:6.2f} %  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
