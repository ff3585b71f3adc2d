"""What events cost a worker: with nobody who listens and no event kept, then with 200 pages open.

    python -m benchmarks --only events

Pages run on other machines; here their 200 connections are one process that reads and forgets, and
beside them the dashboard is open in a browser, or not.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from playwright.async_api import async_playwright
from redis.asyncio import Redis

from botrix.ledger.ledger import Submission
from botrix.line.line import Line, Placing
from botrix.model import Lane, NewJob
from botrix.services import open_ledger
from tests.servers.system import System, until

JOBS, COUNT = 40, 1000
_PATH = "/api/events?every=0.25"


async def drained(
    readers: int, *, kept: bool = True, page: bool = False
) -> tuple[float, float, float, float]:
    """Accounts a second, and CPU time of worker, API and those who listen, each in ms a 1,000
    accounts. kept: whether events are. page: with the dashboard open, in a browser on this
    machine."""
    with TemporaryDirectory(prefix="bx-bench-") as name:
        system = System(Path(name), {"BOTRIX_LOG_LEVEL": "ERROR"})
        listeners = None
        try:
            await system.start()
            system.add_directory("noop", forget=True)
            await _submit(system)
            api = psutil.Process(system.supervisor.processes["api"].pid)
            if readers:
                listeners = await _listen(system, readers)
            environ = {} if kept else {"REDIS_URL": await _without_events(system)}
            before, own = _cpu(api), _cpu(listeners)
            async with _dashboard(system.url) if page else nullcontext():
                worker = psutil.Process((await system.worker(**environ)).pid)
                took = await _took(system)
            spent = (_cpu(worker), _cpu(api) - before, _cpu(listeners) - own)
            share = 1000 / (JOBS * COUNT)
            return (JOBS * COUNT / took, *(seconds * 1000 * share for seconds in spent))
        finally:
            if listeners is not None:
                listeners.kill()
                listeners.wait()
            await system.stop()


@asynccontextmanager
async def _dashboard(url: str) -> AsyncIterator[None]:
    async with async_playwright() as playwright:
        chromium = playwright.chromium
        browser = await chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        opened = await browser.new_page()
        await opened.goto(url)
        await opened.wait_for_selector(".jobs li")
        yield
        await browser.close()


async def _submit(system: System) -> None:
    ledger, line = open_ledger(system.settings.ledger_url), Line.open(system.settings.redis_url)
    new = [NewJob(f"bench-{n}", COUNT, directory="noop") for n in range(JOBS)]
    done = await ledger.submit([Submission(job) for job in new])
    await line.push([Placing(one.job_id, one.place or 0, Lane.NORMAL) for one in done])
    await line.close()
    await ledger.close()


async def _without_events(system: System) -> str:
    """The url of a user who may do all but keep events."""
    async with Redis.from_url(system.settings.redis_url) as redis:
        rights = ("on", "nopass", "~*", "&*", "+@all", "-xadd")
        await redis.execute_command("ACL", "SETUSER", "bench", *rights)
    return system.settings.redis_url.replace("unix://", "unix://bench:any@")


async def _listen(system: System, readers: int) -> psutil.Popen:
    port = str(system.settings.port)
    process = psutil.Popen([sys.executable, "-m", "benchmarks.listeners", port, str(readers)])
    api = psutil.Process(system.supervisor.processes["api"].pid)

    async def connected() -> bool:
        return len([one for one in api.net_connections("tcp") if one.raddr]) >= readers

    await until(connected, 60, f"{readers} listen")
    return process


async def _took(system: System) -> float:
    """Seconds from the first account that was recorded to the last result."""
    query = "SELECT count(*) FROM jobs WHERE status = 'completed'"

    async def done() -> bool:
        await asyncio.sleep(0.25)  # rarely, not to disturb
        return system.rows(query) == [(JOBS,)]

    await until(done, 300, "all is drained")
    ((took,),) = system.rows("SELECT max(updated_at) - min(updated_at) FROM accounts")
    return float(took)


def _cpu(process: psutil.Process | None) -> float:
    return 0.0 if process is None else sum(process.cpu_times()[:2])


async def _forget(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {_PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    while await reader.read(1 << 16):
        pass


async def _forget_all(port: int, readers: int) -> None:
    await asyncio.gather(*(_forget(port) for _ in range(readers)))


if __name__ == "__main__":
    asyncio.run(_forget_all(int(sys.argv[1]), int(sys.argv[2])))
