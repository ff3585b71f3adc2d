"""Who bears a key may ask; nobody else, once there is one."""

from __future__ import annotations

import asyncio
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar

from botrix.api.app import serve
from botrix.errors import SettingsError
from botrix.keys import digest_of, new_key, proves, read_key
from botrix.ledger.migrate import upgrade
from botrix.roles import Role
from botrix.settings import Settings
from tests.servers.keys import bearing, make_key, opened
from tests.servers.system import System, until

REVOKED_WITHIN = 5.0


def test_a_key_reads_back() -> None:
    key = new_key()
    assert read_key(key.text) == key
    assert len(key.secret) == 43  # 256 bits in base64
    assert key.secret not in repr(key)
    for text in ("", key.text[:-1], f"{key.text}x", key.text.upper(), f"btx_{key.secret}", "btx__"):
        assert read_key(text) is None


def test_only_its_own_secret_proves_it() -> None:
    key = new_key()
    assert proves(key.secret, key.digest)
    assert not proves(new_key().secret, key.digest)
    assert not proves("", None)
    assert not proves(key.secret, None)
    assert digest_of("") != key.digest


async def _status(http: ClientSession, method: str = "GET", path: str = "/api/jobs") -> int:
    async with http.request(method, path) as answer:
        return answer.status


def _page(system: System) -> ClientSession:
    return ClientSession(system.url, cookie_jar=CookieJar(unsafe=True))  # of an address


async def test_without_keys_this_machine_may_do_all(system: System) -> None:
    said = await system.get("/api/me")
    assert (said["tenant"], said["role"], said["name"]) == ("default", "admin", "local")


async def test_once_there_is_a_key_each_request_needs_one(system: System) -> None:
    key = await make_key(system)

    async def shut() -> bool:
        return await _status(system.http) == 401

    await until(shut, REVOKED_WITHIN, "the door is shut")
    async with bearing(system, key) as http:
        assert await _status(http) == 200
        assert (await (await http.get("/api/me")).json())["name"] == "the admin of default"
    for header in ("", "Bearer", f"Bearer {key[:-1]}", f"Basic {key}", key, "Bearer é"):
        async with system.http.get("/api/jobs", headers={"Authorization": header}) as answer:
            assert answer.status == 401, header
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert key[24:] not in await answer.text()
    for path in ("/openapi.json", "/metrics", "/nowhere", "/live/"):
        assert await _status(system.http, path=path) == 401, path
    for path in ("/live", "/ready"):
        assert await _status(system.http, path=path) == 200, path


async def test_revoked_and_expired_keys_end(system: System) -> None:
    staying, going = await make_key(system), await make_key(system)
    short = await make_key(system, days=1.5 / 86400)
    async with bearing(system, going) as http, bearing(system, short) as passing:
        assert await _status(http) == 200
        assert await _status(passing) in {200, 401}  # the machine may be slow
        async with opened(system) as keys:
            for key in (going, staying):  # those that are left open nothing for others
                await keys.revoke("default", key[4:20], ("test", "here"))
        for who in (http, passing):

            async def out(who: ClientSession = who) -> bool:
                return await _status(who) == 401

            await until(out, REVOKED_WITHIN, "the key is no longer good")
    assert await _status(system.http) == 401


async def test_a_key_is_kept_as_a_hash_and_its_use_is_noted(system: System) -> None:
    key = await make_key(system)
    async with bearing(system, key) as http:
        assert await _status(http) == 200
        rows = (await (await http.get("/api/keys")).json())["items"]
    assert [row["id"] for row in rows] == [key[4:20]]
    assert rows[0]["last_used_at"] is not None
    assert "digest" not in rows[0]
    assert key[21:] not in str(system.rows("SELECT * FROM keys"))


async def test_a_page_signs_in_with_a_key(system: System) -> None:
    key = await make_key(system)
    own = {"Origin": system.url}
    async with _page(system) as page:
        for body, status in (({"key": "btx_no"}, 401), ({"key": 1}, 422), ({}, 422)):
            async with page.post("/api/sign-in", json=body, headers=own) as answer:
                assert answer.status == status
        async with page.post("/api/sign-in", json={"key": key}, headers=own) as answer:
            assert answer.status == 200, await answer.text()
            cookie = SimpleCookie(answer.headers["Set-Cookie"])["botrix_sign_in"]
        assert cookie["httponly"]
        assert cookie["samesite"].lower() == "strict"
        assert cookie.value not in str(system.rows("SELECT * FROM sign_ins"))
        assert await _status(page) == 200
        for headers, status in (
            ({}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": f"{system.url}9"}, 403),
            ({**own, "Sec-Fetch-Site": "cross-site"}, 403),
            (own, 202),
        ):
            async with page.post(
                "/api/accounts/generate", json={"count": 1}, headers=headers
            ) as answer:
                assert answer.status == status, headers
        async with page.post("/api/sign-out", headers=own) as answer:
            assert answer.status == 204
    stolen = {"Cookie": f"botrix_sign_in={cookie.value}"}
    async with system.http.get("/api/jobs", headers=stolen) as answer:
        assert answer.status == 401


async def test_a_sign_in_ends_with_its_key(system: System) -> None:
    key = await make_key(system)
    async with _page(system) as page:
        await page.post("/api/sign-in", json={"key": key})
        assert await _status(page) == 200
        async with opened(system) as keys:
            await keys.revoke(None, key[4:20], ("test", "here"))

        async def out() -> bool:
            return await _status(page) == 401

        await until(out, REVOKED_WITHIN, "the page is signed out")


async def test_the_first_key_is_entered_once_and_stays_revoked(folder: Path) -> None:
    key = new_key()
    system = System(folder, {"BOTRIX_API_KEY": key.text})
    try:
        await system.start()
        async with bearing(system, key.text) as http:
            assert await _status(http) == 200
            assert await _status(system.http) == 401
            async with opened(system) as keys:
                await keys.revoke(None, key.id, ("test", "here"))
            await system.restart_api()
            assert await _status(http) == 401
            assert await _status(system.http) == 401
    finally:
        await system.stop()


def test_others_cannot_reach_it_without_a_key(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        with pytest.raises(SettingsError, match="botrix key create"):
            serve(Settings.read({}, data=tmp_path, host=host))
    with pytest.raises(SettingsError, match="no address"):
        serve(Settings.read({}, data=tmp_path, host="every.where"))
    with pytest.raises(SettingsError, match="no key"):
        serve(Settings.read({}, data=tmp_path, api_key="secret"))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"sealing_keys": "none"}, "no sealing key"), ({"ledger_url": "mysql://x"}, "give sqlite")],
)
def test_what_it_cannot_start_with_is_told_in_a_line(
    tmp_path: Path, wrong: dict[str, str], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError, match=told):
        serve(Settings.read({}, data=tmp_path, **wrong))
    assert "Traceback" not in "".join(capfd.readouterr())


async def test_two_processes_agree(system: System) -> None:
    """A second API on the same ledger lets nobody in whom the first one turned out."""
    key = await make_key(system)
    other = System(system.settings.data, ledger_url=system.settings.ledger_url)
    try:
        await other.supervisor.start_api()
        other.connect()
        async with bearing(system, key) as here, bearing(other, key) as there:
            assert [await _status(here), await _status(there)] == [200, 200]
            async with here.post(f"/api/keys/{key[4:20]}/revoke") as answer:
                assert answer.status == 204

            async def out() -> bool:
                return await asyncio.gather(_status(here), _status(there)) == [401, 401]

            await until(out, REVOKED_WITHIN, "both turn it away")
    finally:
        await other.stop()


async def test_a_role_is_told_what_it_may_not(system: System) -> None:
    key = await make_key(system, Role.READER)
    body = {"count": 1}
    async with (
        bearing(system, key) as http,
        http.post("/api/accounts/generate", json=body) as answer,
    ):
        said = await answer.json(content_type=None)
    assert answer.status == 403
    assert said["detail"] == "key 'the reader of default' is a reader's, which may not submit"
