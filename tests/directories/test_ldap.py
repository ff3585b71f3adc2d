"""The whole system before a real OpenLDAP: workers are killed at random moments, and each account
is there once all the same."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from botrix.creators.ldap.escaping import rdn
from tests.servers.ldap import PEOPLE, Slapd, missing, slapd
from tests.servers.slow import slow_line
from tests.servers.system import System, until

pytestmark = [
    pytest.mark.suite("slapd"),
    pytest.mark.skipif(missing() is not None, reason=f"slapd was NOT tried: {missing()}"),
]
COUNT = 200


async def entries(server: Slapd) -> dict[str, str]:
    """Tag and user name of each."""
    rows = await server.search("(uid=*)", "uid", "labeledURI", base=PEOPLE)
    found = [(row["labeledURI"][0].decode(), row["uid"][0].decode()) for row in rows]
    assert len(dict(found)) == len(found), "a tag is there twice"
    return dict(found)


async def test_killed_workers_lose_and_double_nothing(system: System, tmp_path: Path) -> None:
    """Twice, since the third loss of an account is taken for its own fault."""
    rng = random.Random()
    async with slapd(tmp_path) as server, slow_line(server.port, 12_000) as port:
        settings = server.settings(url=f"ldap://127.0.0.1:{port}")
        system.add_directory("people", kind="ldap", **settings)
        for name in ("a", "b"):
            await system.worker(name)
        job = await system.generate(COUNT, directory="people")
        killed_at = []
        for _ in range(2):
            seen = len(await entries(server))

            async def more(seen: int = seen) -> bool:
                return len(await entries(server)) > seen

            await until(more, 30, "more entries were created")
            await asyncio.sleep(rng.uniform(0, 0.5))
            for name in ("a", "b"):
                await system.kill(name)
            killed_at.append(len(await entries(server)))
            for name in ("a", "b"):
                await system.worker(name)
        assert all(0 < n < COUNT for n in killed_at), killed_at
        found = system.rows("SELECT count(*) FROM accounts WHERE status = 'created'")
        assert found[0][0] < killed_at[-1], "all that landed was heard of"
        done = await system.final(job, 90)
        assert (done["status"], done["created"]) == ("completed", COUNT), done
        await _check(system, server, job)


async def _check(system: System, server: Slapd, job: str) -> None:
    """Exactly these entries, and each password that is revealed signs in."""
    there = await entries(server)
    assert set(there) == {f"botrix:{job}:{index}" for index in range(COUNT)}
    for index in range(COUNT):
        account: dict[str, Any] = await system.post(f"/api/accounts/{job}:{index}/reveal", {}, 200)
        username = account["username"]
        assert there[f"botrix:{job}:{index}"] == username
        dn = f"{rdn('uid', username)},{PEOPLE}"
        assert await server.signs_in(dn, account["password"]), username
