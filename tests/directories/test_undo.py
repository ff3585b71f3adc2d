"""A job is undone before real directories while the workers that do it are killed: exactly its
accounts go, whatever else bears such names."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from botrix.creators.ldap.escaping import rdn
from tests.servers.ldap import ADMIN, PASSWORD, PEOPLE, Slapd, missing, slapd
from tests.servers.scim import TOKEN, RealScim
from tests.servers.slow import slow_line
from tests.servers.system import System, until

COUNT = 200
CAPACITY = "40"
_NO_SLAPD = pytest.mark.skipif(missing() is not None, reason=f"slapd was NOT tried: {missing()}")


class Place:
    """A directory and what is in it: tag by user name."""

    kind: str
    settings: dict[str, Any]

    async def entries(self) -> dict[str, str]:
        raise NotImplementedError

    async def add(self, username: str, tag: str) -> None:
        """By hand."""
        raise NotImplementedError

    async def retag(self, username: str, tag: str) -> None:
        """As somebody would who makes an entry his own."""
        raise NotImplementedError


class Scim(Place):
    kind = "scim"

    def __init__(self, server: RealScim, port: int, folder: Path) -> None:
        token = folder / "token"
        token.write_text(TOKEN)
        url = server.url.replace(f":{server.port}", f":{port}")
        self.settings = {"url": url, "token_file": str(token), "bulk": False}
        self._server = server

    async def _users(self) -> list[dict[str, Any]]:
        said = await self._server.ask("GET", "/Users?count=1000")
        return list(said.get("Resources", ()))

    async def entries(self) -> dict[str, str]:
        return {user["userName"]: user.get("externalId", "") for user in await self._users()}

    async def add(self, username: str, tag: str) -> None:
        await self._server.ask("POST", "/Users", {"userName": username, "externalId": tag})

    async def retag(self, username: str, tag: str) -> None:
        (user,) = [one for one in await self._users() if one["userName"] == username]
        changed = {"op": "replace", "path": "externalId", "value": tag}
        schema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
        body = {"schemas": [schema], "Operations": [changed]}
        await self._server.ask("PATCH", f"/Users/{user['id']}", body)


class Ldap(Place):
    kind = "ldap"

    def __init__(self, server: Slapd, port: int) -> None:
        self.settings = server.settings(url=f"ldap://127.0.0.1:{port}")
        self._server = server

    async def entries(self) -> dict[str, str]:
        rows = await self._server.search("(uid=*)", "uid", "labeledURI", base=PEOPLE)
        return {r["uid"][0].decode(): r.get("labeledURI", [b""])[0].decode() for r in rows}

    async def add(self, username: str, tag: str) -> None:
        dn = f"{rdn('uid', username)},{PEOPLE}"
        more = {"cn": username, "sn": username, "uid": username, "labeledURI": tag}
        assert await self._server.add(dn, objectClass="inetOrgPerson", **more) == 0

    async def retag(self, username: str, tag: str) -> None:
        dn = f"{rdn('uid', username)},{PEOPLE}"
        said = f"dn: {dn}\nchangetype: modify\nreplace: labeledURI\nlabeledURI: {tag}\n"
        process = await asyncio.create_subprocess_exec(
            "ldapmodify", "-x", "-H", self._server.url, "-D", ADMIN, "-w", PASSWORD,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await process.communicate(said.encode())
        assert process.returncode == 0


@pytest_asyncio.fixture(
    params=[
        pytest.param("scim", marks=pytest.mark.suite("scim2-server")),
        pytest.param("ldap", marks=[pytest.mark.suite("slapd"), _NO_SLAPD]),
    ]
)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Behind a line so slow that workers can be killed in the middle."""
    async with AsyncExitStack() as stack:
        if request.param == "ldap":
            server = await stack.enter_async_context(slapd(tmp_path))
            port = await stack.enter_async_context(slow_line(server.port, 12_000))
            yield Ldap(server, port)
            return
        real = RealScim()
        await real.begin()
        stack.push_async_callback(real.stop)
        port = await stack.enter_async_context(slow_line(real.port, 60_000))
        yield Scim(real, port, tmp_path)


async def fewer(place: Place, than: int) -> None:
    async def so() -> bool:
        return len(await place.entries()) < than

    await until(so, 60, f"fewer than {than} entries")


async def filled(system: System, place: Place) -> tuple[str, str]:
    """Two jobs, and entries of others: the first job to be undone, the second not."""
    system.add_directory("people", kind=place.kind, **place.settings)
    for name in ("a", "b"):
        await system.worker(name, BOTRIX_CAPACITY=CAPACITY)
    await place.add("by-hand", "of somebody")
    other = await roster(system, ["shared", "other-1", "other-2"])
    await system.final(other, 60)
    names = ["shared", "by-hand", *(f"seat-{n}" for n in range(COUNT))]
    job = await roster(system, names)
    done = await system.final(job, 90)
    assert (done["created"], done["existing"], done["failed"]) == (COUNT, 1, 1), done
    return job, other


async def roster(system: System, names: list[str]) -> str:
    """The id of its job."""
    text = "username\n" + "".join(f"{name}\n" for name in names)
    headers = {"Content-Type": "text/csv"}
    path = "/api/accounts/import?directory=people"
    async with system.http.post(path, data=text.encode(), headers=headers) as answer:
        assert answer.status == 202, await answer.text()
        return str((await answer.json())["id"])


async def killing(system: System, place: Place, rng: random.Random) -> list[int]:
    """How many entries there were when both workers were killed, twice."""
    killed_at = []
    for _ in range(2):
        await fewer(place, len(await place.entries()))
        await asyncio.sleep(rng.uniform(0, 0.3))
        for name in ("a", "b"):
            await system.kill(name)
        killed_at.append(len(await place.entries()))
        for name in ("a", "b"):
            await system.worker(name, BOTRIX_CAPACITY=CAPACITY)
    return killed_at


@pytest.mark.timeout(240)
async def test_exactly_what_a_job_created_goes_though_workers_are_killed(
    system: System, place: Place
) -> None:
    job, other = await filled(system, place)
    await place.retag("seat-7", "of somebody by now")
    undone = await system.post(f"/api/jobs/{job}/undo", {"count": COUNT}, 202)
    killed_at = await killing(system, place, random.Random())
    assert all(5 < n < COUNT + 4 for n in killed_at), killed_at
    done = await system.final(undone["id"], 90)
    assert (done["status"], done["deleted"], done["failed"]) == ("failed", COUNT - 1, 1), done
    assert await place.entries() == {
        "by-hand": "of somebody", "shared": f"botrix:{other}:0", "seat-7": "of somebody by now",
        "other-1": f"botrix:{other}:1", "other-2": f"botrix:{other}:2",
    }  # fmt: skip
    told = await system.get(f"/api/jobs/{job}")
    assert (told["created"], told["existing"], told["failed"], told["deleted"]) == (
        1, 1, 1, COUNT - 1,
    )  # fmt: skip
    held = "SELECT count(*) FROM accounts WHERE status = 'deleted' AND sealed IS NOT NULL"
    assert system.rows(held) == [(0,)]


async def test_an_undo_may_leave_accounts_disabled(system: System, place: Place) -> None:
    place.settings |= {"on_undo": "disable"}
    system.add_directory("people", kind=place.kind, **place.settings)
    await system.worker("a")
    job = await roster(system, ["ann", "bob"])
    await system.final(job, 60)
    undone = await system.post(f"/api/jobs/{job}/undo", {"count": 2}, 202)
    done = await system.final(undone["id"], 60)
    assert (done["status"], done["deleted"]) == ("completed", 2)
    assert sorted(await place.entries()) == ["ann", "bob"]
    page = await system.get(f"/api/jobs/{job}/accounts")
    assert {(a["status"], a["reason"]) for a in page["items"]} == {("deleted", "disabled")}
