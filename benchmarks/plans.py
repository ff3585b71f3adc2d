"""A roster of a million rows: how much memory its import takes in the API process, and how fast its
plan is beside the look-ups alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks.directories import scim_server
from botrix.creators import open_creator
from botrix.creators.creator import Creator, Wanted
from botrix.creators.gate import Gate
from botrix.model import Person
from tests.servers import ldap
from tests.servers.scim import TOKEN
from tests.servers.system import System, until

ROWS = 1_000_000
_CHUNK = 500


async def roster(rows: int) -> AsyncIterator[bytes]:
    """As a spreadsheet writes it."""
    yield b"username,email,given_name,family_name,department,employee_number\r\n"
    for first in range(0, rows, _CHUNK):
        numbers = range(first, min(first + _CHUNK, rows))
        yield "".join(
            f"p{n:07},p{n:07}@school.example,Given{n % 997},Family{n % 4999},Physics,{n}\r\n"
            for n in numbers
        ).encode()


async def planned(
    rows: int = ROWS, kind: str = "local", config: Mapping[str, Any] | None = None
) -> tuple[float, float, float]:
    """Rows looked at a second by the plan of a roster, through one worker; rows a second of its
    import; megabytes of the API process at most meanwhile."""
    with tempfile.TemporaryDirectory(prefix="bx-bench-") as folder:
        system = System(Path(folder), {"BOTRIX_LOG_LEVEL": "WARNING"})
        await system.start()
        if kind != "local":
            system.add_directory("real", kind=kind, **(config or {}))
        try:
            async with _peak(system.supervisor.processes["api"].pid) as peak:
                began = time.perf_counter()
                job = await _sent(system, rows, "local" if kind == "local" else "real")
                imported = rows / (time.perf_counter() - began)
            await system.worker(BENCH_TOKEN=TOKEN)
            return await _looked_at(system, job, rows), imported, peak.bytes / 1e6
        finally:
            await system.stop()


async def looked_up(rows: int = ROWS // 4) -> float:
    """Look-ups a second of the creator of a local directory alone, as many at once as it bears."""
    with tempfile.TemporaryDirectory(prefix="bx-bench-") as folder:
        config = {"path": str(Path(folder) / "local.sqlite")}
        return await _looked_up_in("local", config, rows, (64,))


async def planned_scim(rows: int) -> float:
    async with scim_server() as server:
        return (await planned(rows, "scim", _of_scim(server.url)))[0]


async def looked_up_scim(rows: int) -> float:
    """By the best of some fixed numbers of calls at once."""
    os.environ["BENCH_TOKEN"] = TOKEN
    async with scim_server() as server:
        return await _looked_up_in("scim", _of_scim(server.url), rows, (1, 2, 4, 8, 16))


def _of_scim(url: str) -> dict[str, Any]:
    return {"url": url, "token_env": "BENCH_TOKEN"}


async def planned_slapd(rows: int) -> float:
    with tempfile.TemporaryDirectory(prefix="bx-bench-") as folder:
        async with ldap.slapd(Path(folder)) as server:
            return (await planned(rows, "ldap", server.settings()))[0]


async def looked_up_slapd(rows: int) -> float:
    with tempfile.TemporaryDirectory(prefix="bx-bench-") as folder:
        async with ldap.slapd(Path(folder)) as server:
            return await _looked_up_in("ldap", server.settings(), rows, (1, 8, 64))


async def _looked_up_in(
    kind: str, config: Mapping[str, Any], rows: int, at_once: Sequence[int]
) -> float:
    found = []
    for limit in at_once:
        creator = await open_creator(kind, config, timeout=30.0, gate=Gate(limit))
        try:
            found.append(await _lookups(creator, rows))
        finally:
            await creator.close()
    return max(found)


async def _lookups(creator: Creator, rows: int) -> float:
    firsts = iter(range(0, rows, creator.batch))

    async def hand() -> None:
        for first in firsts:
            await creator.find([_wanted(n) for n in range(first, first + creator.batch)])

    began = time.perf_counter()
    await asyncio.gather(*(hand() for _ in range(creator.concurrency)))
    return rows / (time.perf_counter() - began)


def _wanted(n: int) -> Wanted:
    name = f"p{n:07}"
    return Wanted(f"botrix:bench:{n}", Person(name, f"{name}@school.example", "G", "F", "G F"), "")


@dataclass
class _Peak:
    bytes: int = 0


@asynccontextmanager
async def _peak(pid: int) -> AsyncIterator[_Peak]:
    """Resident memory of a process, at most."""
    process, peak = psutil.Process(pid), _Peak()

    async def look() -> None:
        while True:
            peak.bytes = max(peak.bytes, process.memory_info().rss)
            await asyncio.sleep(0.05)

    looking = asyncio.create_task(look())
    try:
        yield peak
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking


async def _sent(system: System, rows: int, directory: str) -> str:
    path = f"/api/accounts/import?dry_run=true&directory={directory}"
    headers = {"Content-Type": "text/csv"}
    timeout = aiohttp.ClientTimeout(total=3600)
    async with system.http.post(
        path, data=roster(rows), headers=headers, timeout=timeout
    ) as answer:
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["id"])


async def _looked_at(system: System, job: str, rows: int) -> float:
    """A second, between the first twentieth and the end."""
    seen: dict[str, Any] = {}

    async def have(n: int) -> bool:
        found = await system.get(f"/api/jobs/{job}")
        seen["n"], seen["at"] = found["plan"]["create"], time.perf_counter()
        return bool(found["waits"] == "plan" or seen["n"] >= n)

    await until(lambda: have(rows // 20), 600, "a twentieth is looked at")
    first, at = seen["n"], seen["at"]
    await until(lambda: have(rows), 3600, "the plan waits")
    return float((seen["n"] - first) / (seen["at"] - at))
