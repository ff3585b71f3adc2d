"""Random pairs of faults at once, in one world: what one fault is survived by must not be what
another one takes away."""

from __future__ import annotations

import asyncio
import contextlib

from redis.exceptions import RedisError

from tests.faults import directories, processes, stores
from tests.faults.fault import Fault, Trial, arena
from tests.faults.world import World

_PAIRED: dict[str, Trial] = {
    "killed": processes.killed,
    "stopped": processes.stopped,
    "told to end": processes.told_to_end,
    "line restarted": stores.line_restarted,
    "line spoilt": stores.line_spoilt,
    "line hung": stores.line_hung,
    "bad answers": directories.bad_answers,
}


async def pair(world: World) -> None:
    """F20. What each of them waits for may be undone by the other, so that only the history counts:
    a trial that cannot go on is given up, and what it would have mended is mended here."""
    names = world.rng.sample(sorted(_PAIRED), 2)
    await asyncio.gather(*(_attempted(world, _PAIRED[name]) for name in names))
    await _mended(world)


async def _attempted(world: World, trial: Trial) -> None:
    with contextlib.suppress(AssertionError, RedisError, OSError, KeyError, TimeoutError):
        await asyncio.wait_for(trial(world), 60)


async def _mended(world: World) -> None:
    await world.directory.misbehave(delay=0.01)
    line = world.system.supervisor.line
    if not await line.answers():
        await line.start()
    for key in [key async for key in world.system.redis.scan_iter(match="*jobs:queue*")]:
        if await world.system.redis.type(key) == "hash":
            await world.system.redis.delete(key)
    for name in list(world.names):
        process = world.system.workers.get(name)
        if process is None or process.returncode is not None:
            await world.replace(name)


FAULTS = (Fault("F20", "two of these at once", pair, 8, 300, per_world=15,
                arena=arena(environ={"BOTRIX_GRACE": "5"})),)  # fmt: skip
