"""Passwords leave once, and what is set anew logs in."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio

from botrix.creators.local import verify
from botrix.roles import Role
from tests.servers.keys import bearing, make_key, make_tenant
from tests.servers.scim import TOKEN, RealScim, SimulatedDirectory
from tests.servers.system import System, until
from tests.unit.test_cards import Page

_HEAD = ["username", "email", "given_name", "family_name", "display_name", "password"]


@asynccontextmanager
async def _second_api(system: System) -> AsyncIterator[System]:
    """On the same ledger."""
    other = System(system.settings.data, ledger_url=system.settings.ledger_url)
    try:
        await other.supervisor.start_api()
        other.connect()
        yield other
    finally:
        await other.stop()


async def created(system: System, count: int = 1, directory: str = "sim", **more: Any) -> str:
    job = await system.final(await system.generate(count, directory=directory, **more))
    assert job["created"] == count, job
    return str(job["id"])


async def _ask(http: aiohttp.ClientSession, path: str, body: Any = None) -> tuple[int, Any]:
    async with http.post(path, json=body or {}) as answer:
        if answer.content_type == "text/csv":
            return answer.status, table(await answer.read())
        return answer.status, await answer.json(content_type=None)


def table(content: bytes) -> list[list[str]]:
    head, *rows = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    assert head == _HEAD
    return rows


@pytest_asyncio.fixture
async def working(system: System) -> System:
    system.add_directory("sim")
    await system.worker()
    return system


async def test_of_two_hundred_reveals_over_two_processes_one_gets_it(working: System) -> None:
    job = await created(working)
    path = f"/api/accounts/{job}:0/reveal"
    async with _second_api(working) as other:
        answers = await asyncio.gather(
            *(_ask((working, other)[n % 2].http, path) for n in range(200))
        )
    assert sorted(status for status, _ in answers) == [200] + [410] * 199
    told = {said["detail"] for status, said in answers if status == 410}
    assert told == {
        f"the password of {job}:0 was revealed; if the answer was lost, set a new one: "
        f"POST /api/accounts/{job}:0/reset"
    }
    assert working.rows("SELECT sealed FROM accounts") == [(None,)]
    assert (await working.get(f"/api/accounts/{job}:0"))["revealed"] is True


async def test_a_key_makes_no_second_reveal(working: System) -> None:
    path = f"/api/accounts/{await created(working)}:0/reveal"
    key = {"Idempotency-Key": "k"}
    await working.post(path, {}, 200, **key)
    said = await working.post(path, {}, 410, **key)
    assert "/reset" in said["detail"]


async def test_a_key_is_for_one_request(working: System) -> None:
    """With another request it is refused; said again, it resets and exports nothing anew."""
    job = await created(working, 2)
    base, key = f"/api/accounts/{job}", {"Idempotency-Key": "k"}
    await working.post(f"{base}:0/reveal", {}, 200, **key)
    for path in (f"{base}:1/reveal", f"{base}:0/reset"):
        await working.post(path, {}, 422, **key)
    await working.post(f"/api/jobs/{job}/export", {"format": "csv"}, 422, **key)
    other = {"Idempotency-Key": "other"}
    for _ in range(2):
        await working.post(f"{base}:0/reset", {}, 200, **other)
    resets = "SELECT count(*) FROM audit WHERE what = 'account.reset'"
    assert working.rows(resets) == [(1,)]
    await working.post(f"{base}:0/reveal", {}, 200)
    for _ in range(2):
        await working.post(f"{base}:0/reset", {}, 200, **other)
    assert working.rows(resets) == [(1,)]
    part, third = f"/api/jobs/{job}/export", {"Idempotency-Key": "third"}
    async with working.http.post(part, json={"format": "csv"}, headers=third) as answer:
        assert answer.status == 200
    await working.post(part, {"format": "csv"}, 410, **third)
    await working.post(part, {"format": "csv", "limit": 5}, 422, **third)


async def test_cards_leave_once_and_log_in(system: System) -> None:
    await system.worker()
    job = await created(system, 11, directory="local")
    path, kind = f"/api/jobs/{job}/export", {"format": "cards"}
    for more in ({"recipient": "age1x"}, {"title": "x" * 121}, {"sign_in": 7}):
        await system.post(path, kind | more, 422)
    await system.post(path, {"format": "csv", "title": "Lab"}, 422)
    key = {"Idempotency-Key": "k"}
    async with system.http.post(path, json=kind | {"title": "Lab"}, headers=key) as answer:
        assert answer.status == 200
        page = Page(await answer.read())
        headers = answer.headers
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Disposition"] == f'attachment; filename="{job}.html"'
    assert headers["Content-Security-Policy"].startswith(page.policy)
    assert headers["Content-Security-Policy"].endswith("frame-ancestors 'none'; sandbox")
    assert (headers["X-Content-Type-Options"], headers["Botrix-Left"]) == ("nosniff", "0")
    directory = system.settings.local_directory_file
    given = zip(page.texts["username"], page.texts["password"], strict=True)
    assert sum([verify(directory, *one) for one in given]) == 11
    assert system.rows("SELECT count(sealed) FROM accounts") == [(0,)]
    for again in (key, {}):
        await system.post(path, kind | {"title": "Lab"}, 410, **again)
    assert system.rows("SELECT detail FROM audit WHERE what = 'job.export'") == [
        ("11 accounts, 0 left",)
    ]


async def test_reveals_and_exports_never_give_the_same(working: System) -> None:
    count = 120
    job = await created(working, count)
    async with _second_api(working) as other:
        both = (working.http, other.http)
        body = {"format": "csv", "limit": 7}
        asked = []
        for n in range(count):
            asked.append(_ask(both[n % 2], f"/api/accounts/{job}:{n * 7 % count}/reveal"))
            if n % 6 == 0:
                asked.append(_ask(both[n % 3 % 2], f"/api/jobs/{job}/export", body))
        answers = await asyncio.gather(*asked)
    given: list[tuple[str, str]] = []
    for status, said in answers:
        assert status in {200, 410}, said
        if isinstance(said, list):
            given += [(row[0], row[5]) for row in said]
        elif status == 200:
            given.append((said["username"], said["password"]))
    assert any(isinstance(said, list) for _, said in answers)
    assert len(given) == len(dict(given)) == count
    assert working.rows("SELECT count(sealed), count(revealed_at) FROM accounts") == [(0, count)]


async def test_who_may_not_gets_none(working: System) -> None:
    job = await created(working)
    await working.kill("worker-1")
    later = await working.generate(1, directory="sim")
    make_tenant(working, "other")
    mine, foreign = await make_key(working), await make_key(working, tenant="other")
    operator = await make_key(working, Role.OPERATOR)
    export = {"format": "csv"}
    paths = [f"/api/accounts/{job}:0/reveal", f"/api/accounts/{job}:0/reset"]
    async with bearing(working, foreign) as http:
        for path in paths:
            assert (await _ask(http, path))[0] == 404, path
        assert (await _ask(http, f"/api/jobs/{job}/export", export))[0] == 404
    async with bearing(working, operator) as http:
        for path in paths:
            assert (await _ask(http, path))[0] == 403, path
        assert (await _ask(http, f"/api/jobs/{job}/export", export))[0] == 403
    async with bearing(working, mine) as http:
        assert (await _ask(http, f"/api/accounts/{job}:0/reset"))[0] == 409
        assert (await _ask(http, f"/api/jobs/{later}/export", export))[0] == 409
        assert (await _ask(http, f"/api/accounts/{later}:0/reveal"))[0] == 404
        for body in (
            {},
            {"format": "xlsx"},
            {"format": "sealed"},
            {"format": "csv", "recipient": "age1x"},
            {"format": "sealed", "recipient": "age1x"},
            {"format": "csv", "limit": 0},
            {"format": "csv", "limit": 100_001},
        ):
            assert (await _ask(http, f"/api/jobs/{job}/export", body))[0] == 422, body
        assert (await _ask(http, paths[0]))[0] == 200


class Place(NamedTuple):
    """logs_in: asks the directory itself."""

    name: str
    logs_in: Callable[[str, str], Awaitable[bool]]
    server: SimulatedDirectory | None = None


@asynccontextmanager
async def _place(kind: str, system: System, folder: Path) -> AsyncIterator[Place]:
    if kind == "local":

        async def verified(name: str, password: str) -> bool:
            path = system.settings.local_directory_file
            return await asyncio.to_thread(verify, path, name, password)

        yield Place("local", verified)
        return
    token = folder / "token"
    token.write_text(TOKEN)
    server = SimulatedDirectory(folder) if kind == "simulated" else RealScim()
    await server.begin()
    system.add_directory("idp", kind="scim", url=server.url, token_file=str(token))

    async def logs_in(name: str, password: str) -> bool:
        if isinstance(server, SimulatedDirectory):
            return await server.logs_in({"userName": name, "password": password})
        asked = quote(f'userName eq "{name}" and password eq "{password}"')
        return bool((await server.ask("GET", f"/Users?filter={asked}"))["totalResults"] == 1)

    try:
        yield Place("idp", logs_in, server if isinstance(server, SimulatedDirectory) else None)
    finally:
        await server.stop()


async def _reveal(system: System, account: str) -> tuple[str, str]:
    said = await system.post(f"/api/accounts/{account}/reveal", {}, 200)
    return said["username"], said["password"]


@pytest.mark.parametrize(
    "kind",
    ["local", "simulated", pytest.param("real", marks=pytest.mark.suite("scim2-server"))],
)
async def test_a_new_password_logs_in_and_the_old_one_does_not(
    system: System, tmp_path: Path, kind: str
) -> None:
    await system.worker()
    async with _place(kind, system, tmp_path) as place:
        account = f"{await created(system, directory=place.name)}:0"
        name, old = await _reveal(system, account)
        assert await place.logs_in(name, old)
        view = await system.post(f"/api/accounts/{account}/reset", {}, 200)
        assert (view["revealed"], view["username"]) == (False, name)
        assert "password" not in view
        assert not await place.logs_in(name, old)
        again, new = await _reveal(system, account)
        assert again == name
        assert new != old
        assert await place.logs_in(name, new)
        await system.post(f"/api/accounts/{account}/reveal", {}, 410)
    whats = [line["what"] for line in (await system.get("/api/audit"))["items"]]
    assert whats == ["job.submit", "account.reveal", "account.reset", "account.reveal"]


async def test_a_new_password_obeys_the_policy_of_its_directory(working: System) -> None:
    account = f"{await created(working)}:0"
    _, old = await _reveal(working, account)
    working.rows("UPDATE directories SET policy = '{\"length\": 40}' RETURNING name")
    await working.post(f"/api/accounts/{account}/reset", {}, 200)
    new = (await _reveal(working, account))[1]
    assert (len(old), len(new)) == (24, 40)


async def _changed(server: SimulatedDirectory, times: int = 1) -> None:
    async def done() -> bool:
        return sum(call["verb"] == "change" for call in server.calls()) >= times

    await until(done, 15, "the directory has changed it")


def _let_time_pass(system: System) -> None:
    system.rows("UPDATE accounts SET resetting_at = resetting_at - 61 RETURNING idx")


_SLOW = {"do": "slow", "on": "change", "seconds": 1.5, "times": 1}


async def test_two_resets_at_once_leave_one_that_logs_in(system: System, tmp_path: Path) -> None:
    await system.worker()
    async with _place("simulated", system, tmp_path) as place, _second_api(system) as other:
        assert place.server is not None
        account = f"{await created(system, directory='idp')}:0"
        await _reveal(system, account)
        await place.server.misbehave(rules=[_SLOW])
        path = f"/api/accounts/{account}/reset"
        first = asyncio.create_task(_ask(system.http, path))
        await _changed(place.server)
        status, said = await _ask(other.http, path)
        assert status == 409
        assert "is being reset; try again in " in said["detail"]
        assert (await first)[0] == 200
        assert (await _ask(other.http, path))[0] == 409  # there is one to be revealed
        assert await place.logs_in(*await _reveal(system, account))


async def test_who_was_taken_over_says_so(system: System, tmp_path: Path) -> None:
    await system.worker()
    async with _place("simulated", system, tmp_path) as place:
        assert place.server is not None
        account = f"{await created(system, directory='idp')}:0"
        await _reveal(system, account)
        await place.server.misbehave(rules=[_SLOW])
        path = f"/api/accounts/{account}/reset"
        first = asyncio.create_task(_ask(system.http, path))
        await _changed(place.server)
        _let_time_pass(system)
        assert (await _ask(system.http, path))[0] == 200
        status, said = await first
        assert status == 409
        assert "took over" in said["detail"]
        assert await place.logs_in(*await _reveal(system, account))


async def test_killed_between_directory_and_commit(system: System, tmp_path: Path) -> None:
    await system.worker()
    async with _place("simulated", system, tmp_path) as place:
        assert place.server is not None
        account = f"{await created(system, directory='idp')}:0"
        name, old = await _reveal(system, account)
        await place.server.misbehave(rules=[{**_SLOW, "seconds": 30}])
        path = f"/api/accounts/{account}/reset"
        first = asyncio.create_task(_ask(system.http, path))
        await _changed(place.server)
        await system.restart_api()
        with pytest.raises(aiohttp.ClientError):
            await first
        assert not await place.logs_in(name, old)
        status, said = await _ask(system.http, path)
        assert (status, "try again in" in said["detail"]) == (409, True)
        await system.post(f"/api/accounts/{account}/reveal", {}, 410)
        _let_time_pass(system)
        await system.post(path, {}, 200)
        assert await place.logs_in(*await _reveal(system, account))


@pytest.mark.parametrize(
    ("rule", "status", "told", "waits"),
    [
        ({"do": "500"}, 502, "may still work or not; reset again in ", True),
        ({"do": "reset", "done": True}, 502, "may still work or not; reset again in ", True),
        ({"do": "400"}, 502, "the old one still works", False),
        ({"do": "401"}, 503, "the old one still works", False),
    ],
)
@pytest.mark.parametrize("system", ["sqlite"], indirect=True)
async def test_what_the_directory_did_not_do_is_told(
    system: System, tmp_path: Path, rule: dict[str, Any], status: int, told: str, waits: bool
) -> None:
    await system.worker()
    async with _place("simulated", system, tmp_path) as place:
        assert place.server is not None
        account = f"{await created(system, directory='idp')}:0"
        name, old = await _reveal(system, account)
        await place.server.misbehave(rules=[{**rule, "on": "change", "times": 1}])
        path = f"/api/accounts/{account}/reset"
        said = await system.post(path, {}, status)
        assert told in said["detail"]
        assert said["detail"].endswith(path)
        assert await place.logs_in(name, old) is not rule.get("done", False)
        if waits:
            await system.post(path, {}, 409)
            _let_time_pass(system)
        await system.post(path, {}, 200)
        assert await place.logs_in(*await _reveal(system, account))


@pytest.mark.parametrize("system", ["sqlite"], indirect=True)
async def test_a_directory_that_went_is_told(working: System) -> None:
    account = f"{await created(working)}:0"
    await _reveal(working, account)
    working.rows("UPDATE directories SET config = '{\"no\": 1}' RETURNING name")
    said = await working.post(f"/api/accounts/{account}/reset", {}, 422)
    assert "setting" in said["detail"]
    assert working.rows("SELECT resetting_at FROM accounts") == [(None,)]


_ROSTER = """username,given_name,display_name,password
ann,Ann,Ann,=cmd|' /C calc'!A0
bob,Bob;=1+1,Bob,pw-2
eve,Eve,"Eve ""x"", =1",'quoted'
"""


async def test_an_export_is_harmless_and_comes_once(working: System) -> None:
    async with working.http.post(
        "/api/accounts/import?directory=sim",
        data=_ROSTER.encode(),
        headers={"Content-Type": "text/csv"},
    ) as answer:
        job = (await answer.json())["id"]
    await working.final(job)
    path = f"/api/jobs/{job}/export"
    rows: list[list[str]] = []
    for left in ("1", "0"):
        async with working.http.post(path, json={"format": "csv", "limit": 2}) as answer:
            assert answer.status == 200
            assert answer.headers["Botrix-Left"] == left
            assert answer.headers["Content-Disposition"] == f'attachment; filename="{job}.csv"'
            assert answer.headers["Cache-Control"] == "no-store"
            rows += table(await answer.read())
    assert [row[0] for row in rows] == ["ann", "bob", "eve"]
    assert [row[5] for row in rows] == ["'=cmd|'' /C calc'!A0", "pw-2", "''quoted'"]
    assert rows[1][2] == "Bob;'=1+1"
    assert rows[2][4] == 'Eve "x",\' =1'
    said = await working.post(path, {"format": "csv"}, 410)
    assert "/reset" in said["detail"]
    for n in range(3):
        await working.post(f"/api/accounts/{job}:{n}/reveal", {}, 410)
    assert working.rows("SELECT count(sealed), count(revealed_at) FROM accounts") == [(0, 3)]


@pytest.mark.parametrize("system", ["sqlite"], indirect=True)
async def test_a_lost_answer_is_made_good_by_a_reset(system: System) -> None:
    """The client is gone before it has read anything."""
    await system.worker()
    account = f"{await created(system, directory='local')}:0"
    _, writer = await asyncio.open_connection("127.0.0.1", system.settings.port)
    head = (
        f"POST /api/accounts/{account}/reveal HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
    )
    writer.write(f"{head}\r\n".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    async def left() -> bool:
        return system.rows("SELECT sealed FROM accounts") == [(None,)]

    await until(left, 10, "the password has left")
    await system.post(f"/api/accounts/{account}/reveal", {}, 410)
    await system.post(f"/api/accounts/{account}/reset", {}, 200)
    assert verify(system.settings.local_directory_file, *await _reveal(system, account))
