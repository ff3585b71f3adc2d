"""The whole system before scim2-server, while its workers are killed: in Bulks, and one by one."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.servers.scim import TOKEN, RealScim
from tests.servers.system import System, until

pytestmark = pytest.mark.suite("scim2-server")
COUNT = 300
CAPACITY = "60"


@pytest_asyncio.fixture
async def real() -> AsyncIterator[RealScim]:
    server = RealScim()
    await server.begin()
    yield server
    await server.stop()


async def tags(server: RealScim) -> list[str]:
    said = await server.ask("GET", "/Users?count=1000")
    return [user["externalId"] for user in said.get("Resources", ())]


async def at_least(server: RealScim, n: int) -> None:
    async def there() -> bool:
        return len(await tags(server)) >= n

    await until(there, 60, f"{n} users")


@pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "one by one"])
async def test_exactly_n_accounts_though_workers_are_killed(
    system: System, real: RealScim, tmp_path: Path, bulk: bool
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    await real.ask("POST", "/Users", {"userName": "theirs", "externalId": "by hand"})
    system.add_directory("idp", kind="scim", url=real.url, token_file=str(token), bulk=bulk)
    for name in ("worker-1", "worker-2"):
        await system.worker(name, BOTRIX_CAPACITY=CAPACITY)
    job = await system.generate(COUNT, directory="idp")
    for name, moment in (("worker-1", (3, 120)), ("worker-2", (130, 270))):
        await at_least(real, random.randint(*moment))
        await system.kill(name)
        await system.worker(name, BOTRIX_CAPACITY=CAPACITY)
    done = await system.final(job, 90)
    assert (done["status"], done["created"]) == ("completed", COUNT)
    assert sorted(await tags(real)) == sorted(
        ["by hand", *(f"botrix:{job}:{n}" for n in range(COUNT))]
    )
