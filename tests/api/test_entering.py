"""Directories that are added and checked through the API, before servers that are real."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from botrix.roles import Role
from tests.servers import ldap
from tests.servers.keys import bearing, make_key, make_tenant
from tests.servers.ldap import ADMIN, GROUPS, PASSWORD, PEOPLE, Slapd
from tests.servers.raw import raw_server
from tests.servers.scim import TOKEN, RealScim
from tests.servers.system import System, until

_TABLES = ("directories", "idempotency_keys", "audit", "history", "jobs", "accounts")


@pytest_asyncio.fixture
async def scim() -> AsyncIterator[RealScim]:
    server = RealScim()
    try:
        await server.begin()
        yield server
    finally:
        await server.stop()


@pytest_asyncio.fixture
async def slapd(tmp_path: Path) -> AsyncIterator[Slapd]:
    if why := ldap.missing():
        pytest.skip(f"slapd was NOT tried: {why}")
    server = Slapd(tmp_path)
    try:
        await server.begin()
        yield server
    finally:
        await server.stop()


@pytest_asyncio.fixture
async def logged(folder: Path, tmp_path: Path) -> AsyncIterator[System]:
    """A system whose processes write what they say into a file."""
    made = System(folder, log=tmp_path / "said")
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


def _of_scim(url: str, token: str = TOKEN) -> dict[str, Any]:
    return {"kind": "scim", "settings": {"url": url}, "secrets": {"token": token}}


def _of_slapd(server: Slapd) -> dict[str, Any]:
    settings = {"url": server.url, "profile": "openldap", "bind_dn": ADMIN}
    settings |= {"base": PEOPLE, "groups": GROUPS}
    return {"kind": "ldap", "settings": settings, "secrets": {"password": PASSWORD}}


async def _at_the_terminal(system: System, *command: str) -> tuple[int, str]:
    named = {"BOTRIX_DATA": str(system.settings.data), "BOTRIX_LEDGER_URL": system.direct_url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "botrix", *command, env={**os.environ, **named}, stdout=PIPE
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def _filled(system: System, name: str) -> int:
    await system.worker()
    return int((await system.final(await system.generate(3, directory=name)))["created"])


async def test_a_scim_server_is_tried_added_checked_and_used(
    system: System, scim: RealScim
) -> None:
    asked = _of_scim(scim.url)
    tried = await system.post("/api/directories/check", asked, 200)
    assert (tried["directory"], tried["usable"], tried["problem"]) == (None, True, None)
    assert system.rows("SELECT count(*) FROM directories WHERE name <> 'local'") == [(0,)]
    made = await system.post("/api/directories", {**asked, "name": "idp"}, 201)
    assert made == await system.get("/api/directories/idp")
    found = await system.post("/api/directories/idp/check", {}, 200)
    assert {**found, "directory": None} == tried
    status, told = await _at_the_terminal(system, "directory", "check", "idp", "--json")
    assert status == 0
    assert {**json.loads(told), "problem": None} == found
    assert await _filled(system, "idp") == 3
    assert len(await scim.users()) == 3


@pytest.mark.suite("slapd")
async def test_an_ldap_server_is_tried_added_checked_and_used(system: System, slapd: Slapd) -> None:
    asked = _of_slapd(slapd)
    tried = await system.post("/api/directories/check", asked, 200)
    assert tried["usable"], tried
    assert any("groups" in line for line in tried["can"])
    policy = {"length": 40}
    await system.post("/api/directories", {**asked, "name": "people", "policy": policy}, 201)
    found = await system.post("/api/directories/people/check", {}, 200)
    assert {**found, "directory": None} == tried
    assert await _filled(system, "people") == 3
    assert len(await slapd.search("(uid=*)", base=PEOPLE)) == 3
    assert system.rows("SELECT policy FROM directories WHERE name = 'people'") == [
        ('{"length":40}',)
    ]


async def test_what_is_wrong_is_a_finding_and_no_error(system: System, scim: RealScim) -> None:
    refused = await system.post("/api/directories/check", _of_scim(scim.url, "0ther-t0ken"), 200)
    assert not refused["usable"]
    assert "0ther-t0ken" not in str(refused)
    await scim.stop()
    away = await system.post("/api/directories/check", _of_scim(scim.url), 200)
    assert (away["usable"], "no connection" in away["problem"]) == (False, True)
    system.add_directory("odd", bogus=1)
    odd = await system.post("/api/directories/odd/check", {}, 200)
    assert (odd["usable"], "no setting 'bogus'" in odd["problem"]) == (False, True)


async def test_a_secret_is_seen_nowhere(logged: System, scim: RealScim, tmp_path: Path) -> None:
    asked, key = _of_scim(scim.url), {"Idempotency-Key": "k-1"}
    said = [await logged.post("/api/directories/check", asked, 200)]
    said.append(await logged.post("/api/directories", {**asked, "name": "idp"}, 201, **key))
    said.append(await logged.post("/api/directories/idp/check", {}, 200))
    wrong = [
        {**asked, "name": "no name", "secrets": {"token": TOKEN}},
        {**asked, "name": "idp"},
        {**asked, "name": "b", "settings": {"url": scim.url, "token": TOKEN}, "secrets": {}},
        {**asked, "name": "b", "secrets": {"token": [TOKEN]}},
        {**asked, "name": "b", "secrets": {"token": TOKEN, "colour": TOKEN}},
        {**asked, "name": "b", "secrets": TOKEN},
        {**asked, "name": "b", "secrets": {"token": f"{TOKEN}\n{TOKEN}"}},
    ]
    for body in wrong:
        async with logged.http.post("/api/directories", json=body) as answer:
            assert answer.status in (409, 422)
            said.append(await answer.text())
    said += [await logged.get(path) for path in ("/api/directories", "/api/audit")]
    said.append(await logged.get("/api/directories/kinds"))
    ((sealed,),) = logged.rows("SELECT secrets FROM directories WHERE name = 'idp'")
    tables = [logged.rows(f"SELECT * FROM {table}") for table in _TABLES]
    written = (tmp_path / "said").read_text()
    assert TOKEN not in f"{said}{tables}{written}{await logged.redis.keys('*')}"
    assert json.loads(sealed)["token"] not in f"{said}{written}"  # not even sealed
    files = [one.read_bytes() for one in logged.settings.data.rglob("*") if one.is_file()]
    assert not any(TOKEN.encode() in one for one in files)


async def test_a_name_is_given_once_and_a_key_acts_once(system: System) -> None:
    body = {"name": "lab", "kind": "simulated", "settings": {"fail_first": 1}}
    key = {"Idempotency-Key": "k-1"}
    first = await system.post("/api/directories", body, 201, **key)
    assert await system.post("/api/directories", body, 201, **key) == first
    taken = await system.post("/api/directories", body, 409)
    assert "there is a directory 'lab' already" in taken["detail"]
    other = await system.post("/api/directories", {**body, "name": "lab2"}, 422, **key)
    assert "another request" in other["detail"]
    added = system.rows("SELECT object, detail FROM audit WHERE what = 'directory.add'")
    assert added == [("lab", "simulated")]


async def test_acts_are_noted_without_values(system: System, scim: RealScim) -> None:
    asked = _of_scim(scim.url)
    await system.post("/api/directories/check", asked, 200)
    await system.post("/api/directories", {**asked, "name": "idp"}, 201)
    await system.post("/api/directories/idp/check", {}, 200)
    noted = system.rows("SELECT what, object, detail FROM audit ORDER BY n")
    assert noted == [
        ("directory.try", "scim", ""),
        ("directory.add", "idp", "scim"),
        ("directory.check", "idp", "scim"),
    ]


_LIKE = "https://idp.example/scim/v2"


_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"kind": "ldpa"}, "there is no kind of directory"),
    ({"secrets": {}}, "give the operator's token once"),
    ({"secrets": {"token": "t", "colour": "x"}}, "these may be sealed: token"),
    ({"settings": {"url": _LIKE, "colour": 1}}, "no setting 'colour'; there are: allow_http"),
    ({"settings": {"url": _LIKE, "token": "t"}}, "`token` is a secret"),
    ({"settings": {"url": _LIKE, "token_file": "/etc/passwd"}}, "`token_file` names what"),
    ({"settings": {"url": _LIKE, "token_env": "HOME"}}, "`token_env` names what"),
    ({"settings": {"url": "https://10.0.0.1/v2"}}, "an address of special use (private)"),
    ({"settings": {"url": "https://169.254.169.254/"}}, "special use (metadata)"),
    ({"settings": {"url": "https://127.1/"}}, "an odd way to write an address"),
    ({"settings": {"url": "http://idp.example/"}}, "in the clear"),
    ({"settings": {"url": _LIKE, "ca_file": "/dev/zero"}}, "cannot be read"),
    ({"settings": {"url": _LIKE, "rate": 0}}, "`rate` must be a number"),
    ({"settings": {"url": _LIKE, "on_undo": "burn"}}, "`on_undo` must be"),
    ({"policy": {"length": 9}}, "set length=22"),
    ({"policy": {"must_change": True}}, "no standard way"),
    ({"kind": "local", "settings": {"path": "/tmp/x"}, "secrets": {}}, "`path` names what"),
    ({"kind": "simulated", "settings": {"batch": 0}, "secrets": {}}, "`batch` of a simulated"),
]
_NAMES = ["a b", "", "../x", "-x", ".", "kinds", "x" * 65, "é"]


async def test_what_is_not_added(logged: System) -> None:
    for more, told in _REFUSED:
        asked = {**_of_scim(_LIKE, "t"), **more}
        for path, body in (("", {"name": "x", **asked}), ("/check", asked)):
            answer = await logged.post(f"/api/directories{path}", body, 422)
            assert told in answer["detail"]
    for name in _NAMES:
        await logged.post("/api/directories", {"name": name, "kind": "simulated"}, 422)
    assert logged.rows("SELECT name FROM directories") == [("local",)]


_OPENS = [
    {"settings": {"url": "http://localhost:1/v2"}},
    {"settings": {"url": "https://[::1]/v2"}},
    {"settings": {"url": _LIKE, "networks": ["10.0.0.0/8"]}},
    {"settings": {"url": _LIKE, "allow_http": True}},
    {"settings": {"url": _LIKE, "ca_file": "/etc/ssl/cert.pem"}},
    {"settings": {"url": _LIKE, "token_url": "https://127.0.0.1/t"}},
    {"kind": "ldap", "settings": {"url": "ldap://127.0.0.1"}, "secrets": {}},
    {"kind": "ldap", "settings": {"url": "ldaps://x", "allow_plain": True}, "secrets": {}},
    {"kind": "simulated", "settings": {}, "secrets": {}},
]


async def test_another_tenant_reaches_nothing_but_the_public_internet(system: System) -> None:
    make_tenant(system, "other")
    http = bearing(system, await make_key(system, Role.ADMIN, "other"))
    for more in _OPENS:
        asked = {**_of_scim(_LIKE, "t"), **more}
        for path, body in (("", {"name": "x", **asked}), ("/check", asked)):
            async with http.post(f"/api/directories{path}", json=body) as answer:
                detail = (await answer.json())["detail"]
                assert (answer.status, "botrix directory add" in detail) == (422, True), detail
    async with http.get("/api/directories/kinds") as answer:
        kinds = {one["kind"]: one for one in (await answer.json())["items"]}
    assert not kinds["simulated"]["here"]
    here = {one["name"]: one["here"] for one in kinds["scim"]["settings"]}
    assert (here["url"], here["networks"], here["ca_file"]) == (True, False, False)
    async with http.post("/api/directories", json={"name": "x", **_of_scim(_LIKE, "t")}) as answer:
        assert answer.status == 201
    await http.close()
    assert system.rows("SELECT tenant_id FROM directories WHERE name = 'x'") == [("other",)]


async def test_a_form_can_be_drawn_from_the_kinds(logged: System) -> None:
    kinds = {one["kind"]: one for one in (await logged.get("/api/directories/kinds"))["items"]}
    assert set(kinds) >= {"jupyterhub", "keycloak", "ldap", "local", "scim", "simulated"}
    scim = {one["name"]: one for one in kinds["scim"]["settings"]}
    assert scim["url"]["required"]
    assert (scim["token"]["secret"], scim["token"]["ways"]) == (True, ["token"])
    assert (scim["bulk"]["type"], scim["bulk"]["default"]) == ("boolean", True)
    assert scim["on_undo"]["choices"] == ["delete", "disable"]
    assert "token_file" not in scim
    assert not {one["name"]: one for one in kinds["local"]["settings"]}["path"]["here"]


async def _silence() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def test_four_slow_checks_stop_nothing_else(logged: System, scim: RealScim) -> None:
    await logged.post("/api/directories", {**_of_scim(scim.url), "name": "idp"}, 201)
    async with raw_server(_silence) as silent:
        body = _of_scim(f"{silent.url}/v2")

        def check() -> asyncio.Task[Any]:
            return asyncio.create_task(logged.post("/api/directories/check", body, 200))

        slow = [check() for _ in range(3)]

        async def asked() -> bool:
            return len(silent.asked) == len(slow)

        await until(asked, 10, "three checks wait for an answer")
        assert (await logged.post("/api/directories/idp/check", {}, 200))["usable"]
        slow.append(check())
        await until(asked, 10, "four checks wait for an answer")
        async with logged.http.post("/api/directories/idp/check") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "2")
        assert (await logged.get("/api/directories"))["items"]
        found = await asyncio.gather(*slow)
    assert {one["usable"] for one in found} == {False}
    assert {"no answer in time" in one["problem"] for one in found} == {True}
    assert (await logged.post("/api/directories/idp/check", {}, 200))["usable"]


async def test_what_lies_with_a_directory_is_told(system: System) -> None:
    system.add_directory("slow", delay=60, batch=2, concurrency=1)
    worker = await system.worker()
    await system.generate(3, directory="slow")

    async def busy() -> bool:
        return int((await system.get("/api/directories/slow"))["in_flight"]) == 3

    await until(busy, 15, "three accounts are held by the worker")
    local = (await system.get("/api/directories"))["items"][0]
    assert (local["name"], local["in_flight"], local["held"]) == ("local", 0, 0)
    await system.post("/api/directories/slow/pause", {"reason": "holidays"}, 200)
    await system.generate(1, directory="slow")

    async def held() -> bool:
        return int((await system.get("/api/directories/slow"))["held"]) >= 1

    await until(held, 15, "a job is held")
    await system.kill("worker-1")
    assert worker.returncode is not None
