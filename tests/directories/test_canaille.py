"""The whole system with canaille as its directory, while workers are killed."""

from __future__ import annotations

import random
from itertools import count

import pytest

from tests.servers.canaille import CLIENT, SECRET, Canaille
from tests.servers.system import System, until
from tests.test_directory_add import botrix

pytestmark = pytest.mark.suite("canaille")

_JOBS, _OF, _KILLS = 3, 20, 2
"""An account whose session is lost a third time is set aside: no job sees as many killed."""

_NUMBERS = count(1)


async def add(system: System, canaille: Canaille) -> None:
    """As the operator does, with the client's secret sealed."""
    urls = ("--set", f"url={canaille.url}", "--set", f"token_url={canaille.token_url}")
    client = ("--set", f"client_id={CLIENT}", "--secret", "client_secret")
    command = ("directory", "add", "idp", "--kind", "scim", *urls, *client)
    status, said = await botrix(system, *command, typed=f"{SECRET}\n")
    assert status == 0, said
    assert SECRET not in repr(system.rows("SELECT * FROM directories"))


async def test_the_check_tells_what_canaille_does_otherwise(
    system: System, canaille: Canaille
) -> None:
    await add(system, canaille)
    status, said = await botrix(system, "directory", "check", "idp")
    assert status == 0, said
    for what in ("ignores the filter", "keeps no externalId", "refuses `count`", "costCenter"):
        assert what in said, said
    for so in ("in a full list", "only if its name was generated", "asked for without", "left out"):
        assert so in said, said


@pytest.mark.timeout(280)
async def test_exactly_n_accounts_though_workers_are_killed(
    system: System, canaille: Canaille
) -> None:
    await add(system, canaille)
    chance = random.Random(7)
    for _ in range(2):
        await _hire(system)
    jobs = [await _killing(system, canaille, chance) for _ in range(_JOBS)]
    rows = system.rows("SELECT job_id, idx, username FROM accounts WHERE status = 'created'")
    assert {job for job, _, _ in rows} == set(jobs)
    assert canaille.created() == {name: 1 for _, _, name in rows}
    assert len(rows) == _JOBS * _OF
    assert system.rows("SELECT count(*) FROM accounts WHERE attempt > 1") != [(0,)]
    for job, index, name in rows:
        shown = await system.post(f"/api/accounts/{job}:{index}/reveal", {}, 200)
        assert shown["username"] == name
        assert await canaille.logs_in(name, shown["password"]), name
        assert not await canaille.logs_in(name, f"{shown['password']}x")


async def _killing(system: System, canaille: Canaille, chance: random.Random) -> str:
    """A job; some of whose workers are killed once a random number of its accounts is there."""
    before = canaille.created().total()
    job = await system.generate(_OF, directory="idp")
    for part in sorted(chance.sample(range(_OF - 2), _KILLS)):

        async def so_many(part: int = part) -> bool:
            return canaille.created().total() > before + part

        await until(so_many, 120, f"more than {part} accounts of {job}")
        at_work = _at_work(system)
        await system.kill(chance.choice(at_work or sorted(system.workers)))
        await _hire(system)
    done = await system.final(job, 240)
    assert (done["status"], done["created"]) == ("completed", _OF), done
    return job


def _at_work(system: System) -> list[str]:
    """Those who hold accounts now."""
    rows = system.rows(
        "SELECT DISTINCT worker_id FROM sessions WHERE id IN"
        " (SELECT session_id FROM accounts WHERE status = 'leased') ORDER BY worker_id"
    )
    return [name for (name,) in rows if name in system.workers]


async def _hire(system: System) -> None:
    """One of a name of its own, so that the health of one that was killed runs out. Addresses in
    `botrix.invalid`, as they are unless told otherwise, canaille refuses."""
    await system.worker(f"worker-{next(_NUMBERS)}", BOTRIX_EMAIL_DOMAIN="people.example")
