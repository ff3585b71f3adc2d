"""Plans while workers are replaced: those of before lease what they look at, the others do not."""

from __future__ import annotations

import pytest

from tests.servers.earlier import EarlierSystem, at_work
from tests.servers.system import until
from tests.test_plan_apply import imported, waiting
from tests.test_upgrade import botrix

_FIRST_SINCE = "0009_looks.py"
_N = 1000
_LOOKED_AT = "SELECT count(*) FROM accounts WHERE job_id = ? AND not_before < 0"
_WALKED = "SELECT walked FROM jobs WHERE id = ?"
_LEASED = "SELECT count(*) FROM accounts WHERE job_id = ? AND attempt > 0"


earlier = at_work(_FIRST_SINCE)
"""The program as it was when every look had a lease."""


async def _plan(system: EarlierSystem) -> str:
    rows = "".join(f"person{n},P,{n}\n" for n in range(_N))
    roster = ("username,given_name,family_name\n" + rows).encode()
    job = await imported(system, roster, dry_run="true", directory="slow")
    return str(job["id"])


async def _looked_at(system: EarlierSystem, job: str) -> None:
    async def some() -> bool:
        return bool(system.rows(_LOOKED_AT, job)[0][0] >= 50)

    await until(some, 30, "a part is looked at")


async def _is_there(system: EarlierSystem, worker: str) -> None:
    async def beats() -> bool:
        return bool(await system.redis.exists(f"botrix:worker:health:{worker}"))

    await until(beats, 30, f"{worker} is there")


@pytest.mark.timeout(240)
async def test_workers_of_before_and_of_now_take_over_each_others_plans(
    earlier: EarlierSystem,
) -> None:
    earlier.add_directory("slow", delay=0.2, forget=True)
    await earlier.earlier_worker("old")
    await _is_there(earlier, "old")
    begun = await _plan(earlier)
    await _looked_at(earlier, begun)
    await earlier.kill("old")
    await botrix(earlier, "migrate")
    await earlier.worker("new")
    assert (await waiting(earlier, begun, "plan", 60))["plan"]["create"] == _N
    assert earlier.rows(_WALKED, begun) == [(_N,)]  # the new one's
    await earlier.post(f"/api/jobs/{begun}/apply", {}, 202)  # the old API's
    assert (await earlier.final(begun, 60))["created"] == _N

    await earlier.change_api()
    shared = await _plan(earlier)
    await _looked_at(earlier, shared)
    await earlier.kill("new")
    ((walked,),) = earlier.rows(_WALKED, shared)
    assert 0 < walked < _N
    await earlier.earlier_worker("old")
    assert (await waiting(earlier, shared, "plan", 60))["plan"]["create"] == _N
    assert earlier.rows(_LEASED, shared)[0][0] >= _N - walked  # the old one's
    await earlier.worker("new")
    await _is_there(earlier, "new")
    await earlier.post(f"/api/jobs/{shared}/apply", {}, 202)
    ended = await earlier.final(shared, 60)
    assert (ended["status"], ended["created"]) == ("completed", _N)
    assert [one.returncode for one in earlier.workers.values()] == [None, None]
    assert await earlier.redis.llen("{botrix:jobs:queue}:rejected") == 0
