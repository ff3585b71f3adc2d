"""The whole system before a real Keycloak, while its workers are killed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.servers.keycloak import Realm
from tests.servers.system import System, until

pytestmark = [pytest.mark.suite("Keycloak"), pytest.mark.timeout(600)]
COUNT = 100
THEIRS = "their-own-password"


def theirs(realm: Realm, *names: str) -> None:
    for name in names:
        credentials = [{"type": "password", "value": THEIRS, "temporary": False}]
        said = {
            "username": name, "enabled": True, "email": f"{name}@hr.example", "firstName": "H",
            "lastName": "R", "credentials": credentials, "groups": ["/staff"],
        }  # fmt: skip
        assert realm.ask("POST", "/users", said).status == 201


async def created(realm: Realm, at_least: int) -> None:
    async def enough() -> bool:
        return realm.ask("GET", "/users/count").body >= at_least

    await until(enough, 60, f"{at_least} users")


async def test_exactly_n_accounts_though_workers_are_killed(
    system: System, realm: Realm, tmp_path: Path
) -> None:
    theirs(realm, "hr-1", "hr-2")
    before = realm.users()
    system.add_directory("idp", kind="keycloak", **realm.settings(tmp_path))
    for name in ("worker-1", "worker-2"):
        await system.worker(name, BOTRIX_CAPACITY="24")
    job = await system.generate(COUNT, directory="idp")
    for name, moment in (("worker-1", (3, 40)), ("worker-2", (50, 90))):
        await created(realm, random.randint(*moment))
        await system.kill(name)
        await system.worker(name, BOTRIX_CAPACITY="24")
    done = await system.final(job, 120)
    assert (done["status"], done["created"]) == ("completed", COUNT)
    users = realm.users()
    tags = [row["attributes"]["botrix_tag"] for row in users.values() if "attributes" in row]
    assert sorted(tags) == sorted([f"botrix:{job}:{n}"] for n in range(COUNT))
    assert len(users) == COUNT + 2
    assert {name: users[name] for name in before} == before
    await each_signs_in(system, realm, job)
    for name in before:
        assert realm.sign_in(name, THEIRS).status == 200


async def test_a_roster_of_which_somebody_has_a_name(
    system: System, realm: Realm, tmp_path: Path
) -> None:
    theirs(realm, "user-3")
    before = realm.users()
    system.add_directory("idp", kind="keycloak", **realm.settings(tmp_path))
    await system.worker()
    rows = "".join(f"user-{n},A,B,{'staff' if n else 'nope'},Ö\n" for n in range(12))
    async with system.http.post(
        "/api/accounts/import?directory=idp",
        data=f"username,given_name,family_name,groups,department\n{rows}".encode(),
        headers={"Content-Type": "text/csv"},
    ) as answer:
        job = (await answer.json(content_type=None))["id"]
    done = await system.final(job, 60)
    assert (done["status"], done["created"], done["failed"]) == ("failed", 10, 2)
    failed = (await system.get(f"/api/jobs/{job}/accounts?status=failed"))["items"]
    reasons = {one["username"]: one["reason"] for one in failed}
    assert reasons == {"user-0": "no such group", "user-3": "name taken"}
    users = realm.users()
    assert set(users) == {f"user-{n}" for n in range(1, 12)}
    assert users["user-1"]["attributes"]["department"] == ["Ö"]
    assert realm.groups("user-1") == ["/staff"]
    assert users["user-3"] == before["user-3"]
    assert realm.sign_in("user-3", THEIRS).status == 200


async def each_signs_in(system: System, realm: Realm, job: str) -> None:
    for n in range(COUNT):
        revealed = await system.post(f"/api/accounts/{job}:{n}/reveal", {}, 200)
        said = realm.sign_in(revealed["username"], revealed["password"])
        assert said.status == 200, (revealed["username"], said)
