"""Faults of the directory: each kind of bad answer, and answers that never come back.

Every bad answer is given with what was asked done, and not done. Accounts of other people stand in
the way of some rosters, and stay as they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.faults.fault import Fault, Site, arena, running
from tests.faults.world import World
from tests.servers.proxy import Proxy
from tests.servers.system import until

_KINDS: tuple[dict[str, Any], ...] = (
    {"do": "500"}, {"do": "500", "done": True}, {"do": "502", "done": True}, {"do": "503"},
    {"do": "429", "retry_after": "1"}, {"do": "409"}, {"do": "409", "done": True},
    {"do": "reset"}, {"do": "reset", "done": True}, {"do": "junk"}, {"do": "junk", "done": True},
    {"do": "huge", "done": True}, {"do": "drip", "done": True, "share": 0.2},
    {"do": "hang", "done": True, "share": 0.2}, {"do": "redirect"}, {"do": "late", "seconds": 2.5},
    {"do": "500", "on": "find"}, {"do": "reset", "on": "find"}, {"do": "junk", "on": "find"},
    {"do": "429", "on": "find", "retry_after": "1"}, {"do": "slow", "seconds": 0.5},
)  # fmt: skip
_DEVIATIONS: tuple[dict[str, Any], ...] = (
    {"duplicate_is_500": True}, {"ignore_filter": True}, {"no_filter": True}, {"blind": 0.5},
    {"steal": 0.2}, {"drop_external_id": True},
)  # fmt: skip
KINDS = len(_KINDS) + len(_DEVIATIONS)
LOST_IN_ONE_TRIAL = 50


async def bad_answers(world: World) -> None:
    """F12. One kind of bad answer for a job and a roster; both end, and what can be is created. The
    kinds come in turn, from a random one on."""
    turn = world.marks["turn"] = world.marks.get("turn", world.rng.randrange(KINDS)) + 1
    kinds = [{"rules": [{"share": 0.4, **kind}]} for kind in _KINDS]
    quirks = [*kinds, *_DEVIATIONS][turn % KINDS]
    await world.directory.misbehave(seed=turn, delay=0.005, **quirks)
    jobs = [
        await world.insist(8),
        await world.submit_roster([f"r{turn}-a", "foreign-1", f"r{turn}-b"]),
    ]
    for job in jobs:
        await until(world.is_final(job), 60, f"{job} is final, with {quirks}")
    await world.directory.misbehave(delay=0.005)
    rows = world.system.rows(
        "SELECT status, reason FROM accounts WHERE username = 'foreign-1' AND job_id = ?", jobs[1]
    )
    assert rows[0][0] == "failed", rows


async def answers_lost(world: World) -> None:
    """F13. Three in ten answers to a create are lost on their way."""
    job = await world.insist(LOST_IN_ONE_TRIAL)
    await until(world.is_final(job), 90, f"{job} is final")
    rows = world.system.rows("SELECT status, created FROM jobs WHERE id = ?", job)
    assert rows == [("completed", LOST_IN_ONE_TRIAL)], rows


@asynccontextmanager
async def _behind_a_proxy(site: Site) -> AsyncIterator[World]:
    url = await site.ledger_url()
    world = World(site.folder, site.rng, ledger_url=url, quirks={"delay": 0.0})
    proxy = Proxy(world.directory.port, share=0.3, rng=site.rng)
    proxy.lose, proxy.times = b"POST /Users", 1 << 30
    await proxy.start()
    world.directory_url = f"http://127.0.0.1:{proxy.port}"
    try:
        async with running(world):
            yield world
    finally:
        await proxy.stop()


FAULTS = (
    Fault("F12", "bad answers of the directory", bad_answers, KINDS, KINDS * 20, per_world=KINDS,
          arena=arena(quirks={"delay": 0.005})),
    Fault("F13", "answers lost after the create", answers_lost, 10, 400, each=LOST_IN_ONE_TRIAL,
          per_world=200, arena=_behind_a_proxy),
)  # fmt: skip
