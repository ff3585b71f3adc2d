"""Hostile requests to the API: what its own description allows, what that forbids, and bytes that
are no HTTP. Never an answer of the 500s, never an end of the process, and good requests go on.

Whatever is accepted goes to a directory that forgets, in small numbers, and is remembered as asked
for: the history checker knows of every job who wanted it. Jobs of others are read, never changed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.faults import sockets
from tests.faults.fault import Fault, Site, running
from tests.faults.world import World

REQUESTS = 50
_RAW, _MIXED = 12, 3
_VOID = "void"


async def hostile_requests(world: World) -> None:
    """F17. A share by the description of the API, the rest by bare sockets; then a good one."""
    pid = world.system.supervisor.processes["api"].pid
    port, rng = world.system.settings.port, world.rng
    raw = [sockets.junk(rng) for _ in range(_RAW)]
    mixed = [_asked(world) for _ in range(_MIXED)]
    raw += [sockets.with_a_good_request(rng, m["key"], m["body"]) for m in mixed]
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(_by_description, world, rng.getrandbits(32)))
        told = [group.create_task(sockets.told(port, parts)) for parts in raw]
    answers = [task.result() for task in told]
    for parts, (statuses, text) in zip(raw, answers, strict=True):
        wrong = [status for status in statuses if status >= 500]
        assert not wrong, f"{text[:500]!r} to {b''.join(parts)[:500]!r}"
    for request in mixed:
        await world.ask_again(request)
    process = world.system.supervisor.processes["api"]
    assert (process.pid, process.returncode) == (pid, None), "the API has ended"
    await world.job_is_done(1)


def _asked(world: World) -> dict[str, Any]:
    """A request that has no answer yet."""
    request = {"key": f"fuzz-{world.rng.getrandbits(60):x}", "path": "/api/accounts/generate",
               "body": {"count": 1, "directory": _VOID}, "at": time.time(), "status": None,
               "job_id": None}  # fmt: skip
    world.requests.append(request)
    return request


def _by_description(world: World, seed: int) -> None:
    """In a thread, since both of what makes the requests and what sends them would block."""
    from tests.faults.described import Described

    if "described" not in world.extras:
        world.extras["described"] = Described(world.system.url)
    described = world.extras["described"]
    described.others = [r["job_id"] for r in world.requests[-200:] if r["job_id"]]
    for one in described.send(REQUESTS - _RAW - _MIXED, seed):
        assert one.status < 500, f"{one.status} {one.text[:300]} to {one.shown[:1000]}"
        assert one.status < 400 or one.is_problem, one.shown[:1000]
        if one.status == 202 and one.path.startswith("/api/accounts/"):
            said = json.loads(one.text)
            described.own.append(said["id"])
            world.requests.append({"key": None, "path": one.path, "body": one.body, "at": one.at,
                                   "status": 202, "job_id": said["id"]})  # fmt: skip


@asynccontextmanager
async def _with_a_void(site: Site) -> AsyncIterator[World]:
    world = World(site.folder, site.rng, ledger_url=await site.ledger_url(), keyed=False)
    async with running(world):
        world.system.add_directory(_VOID, kind="simulated", forget=True)
        yield world


def _no_schemathesis() -> str | None:
    try:
        import schemathesis  # noqa: F401
    except ImportError:
        return "schemathesis is not installed; install the extra `dev`"
    return None


FAULTS = (
    Fault("F17", "hostile requests", hostile_requests, 40, 1000, each=REQUESTS, per_world=100,
          arena=_with_a_void, needs=_no_schemathesis),
)  # fmt: skip
