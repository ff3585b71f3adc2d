"""Hostile entries in the line: whatever another program pushes, no worker ends, no memory is eaten,
each is rejected with a reason, and good entries among them are done."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Awaitable, Callable

import psutil

from tests.faults.fault import Fault
from tests.faults.world import World
from tests.servers.system import until

ENTRIES = 50
_QUEUE, _REJECTED = "botrix:jobs:queue", "{botrix:jobs:queue}:rejected"
_EATEN = 96 << 20
"""Bytes; ten entries of 10 MB would be more."""


async def hostile_entries(world: World) -> None:
    """F16."""
    redis, rng = world.system.redis, world.rng
    workers = {name: world.pid(name) for name in world.names}
    memory = {pid: psutil.Process(pid).memory_info().rss for pid in workers.values()}
    final = world.system.rows("SELECT id FROM jobs WHERE finished_at IS NOT NULL LIMIT 5")
    entries = [_hostile(rng, n, [row[0] for row in final]) for n in range(ENTRIES)]
    good = await world.push_raw(2)
    await redis.rpush(_QUEUE, *entries)
    assert good is not None
    other = await world.push_raw(1)
    assert other is not None
    for job in (good, other):
        await until(world.is_final(job), 30, f"{job} is done among hostile entries")
    await until(_all_read(world), 30, "hostile entries are off the line")
    for text in await redis.lrange(_REJECTED, 0, -1):
        assert json.loads(text)["reason"]
    assert {name: world.pid(name) for name in world.names} == workers
    for pid, was in memory.items():
        grown = psutil.Process(pid).memory_info().rss - was
        assert grown < _EATEN, f"a worker grew by {grown >> 20} MiB"


def _all_read(world: World) -> Callable[[], Awaitable[bool]]:
    async def read() -> bool:
        taken = [key async for key in world.system.redis.scan_iter(match="*:taken:*")]
        return not await world.system.redis.llen(_QUEUE) and not taken

    return read


def _hostile(rng: random.Random, n: int, final: list[str]) -> bytes | str:
    ident = json.dumps(f"x{rng.getrandbits(40):x}")
    kinds = (
        lambda: rng.randbytes(rng.randint(0, 200)),
        lambda: "[" * rng.randint(1, 20_000),
        lambda: '{"id":' * 5_000,
        lambda: f'{{"id":{ident},"count":{"9" * 5000}}}',
        lambda: f'{{"id":{ident},"count":NaN}}',
        lambda: f'{{"id":{ident},"count":-1}}',
        lambda: f'{{"id":{ident},"count":1e400}}',
        lambda: f'{{"id":{ident},"count":1000001}}',
        lambda: f'{{"id":{ident},"count":1,"sudo":true}}',
        lambda: f'{{"id":{ident},"count":1,"directory":"../idp"}}',
        lambda: f'{{"id":{ident},"count":1,"directory":"nowhere"}}',
        lambda: f'{{"id":{ident},"count":1,"template":"{"t" * 300}"}}',
        lambda: f'{{"id":"\\ud800{n}","count":1}}',
        lambda: f'{{"id":"a\\u0000b{n}","count":1}}',
        lambda: f'{{"id":"{"i" * 65}","count":1}}',
        lambda: f'{{"id":{ident},"place":{rng.randint(1, 1 << 61)}}}',
        lambda: f'{{"id":{ident},"place":1,"count":1}}',
        lambda: json.dumps({"id": rng.choice(final or ["none"]), "place": 10**15}),
        lambda: json.dumps({"id": rng.choice(final or ["a b"]), "count": 77}),
        lambda: pickle.dumps({"id": "p", "count": 1}),
        lambda: "x" * rng.choice((70_000, 70_000, 10_000_000)),
        lambda: "",
        lambda: "null",
        lambda: '"' + "\\" * rng.randint(1, 2000),
    )
    return rng.choice(kinds)()


FAULTS = (
    Fault("F16", "hostile entries in the line", hostile_entries, 20, 200, each=ENTRIES),
)  # fmt: skip
